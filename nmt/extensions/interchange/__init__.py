"""A trained model in the formats of other programs."""

REQUIRES: tuple[str, ...] = ("ssru",)
"""Names of the other extensions that this one imports."""
