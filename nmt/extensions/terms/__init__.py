"""What a translation must contain: phrases, and the translations of terms in their places."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
