"""The SSRU decoder, for fast translation by small models."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
