"""Checks and filters of parallel text, and synthetic text."""

REQUIRES: tuple[str, ...] = ("shards",)
