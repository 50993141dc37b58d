"""Search among the translations of the source words (`decoding.shortlist`)."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
