"""The SSRU decoder, for fast translation by small models."""
