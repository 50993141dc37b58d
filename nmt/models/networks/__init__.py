"""Encoders and decoders, one architecture a file."""
