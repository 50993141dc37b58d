"""The memory of corrected translations, and learning from corrections."""

REQUIRES: tuple[str, ...] = ("documents",)
