"""The check, the repair and the confidence of translations."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
