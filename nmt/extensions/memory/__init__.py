"""The memory of corrected translations, and learning from corrections."""

REQUIRES: tuple[str, ...] = ("documents",)
"""Names of the other extensions that this one imports."""
