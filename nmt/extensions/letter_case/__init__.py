"""Lines in capitals and titles, which are translated as ordinary text."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
