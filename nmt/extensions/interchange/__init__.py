"""A trained model in the formats of other programs."""

REQUIRES: tuple[str, ...] = ("documents", "ssru")
