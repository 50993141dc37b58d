"""Checks and filters of parallel text, and synthetic text."""

from pathlib import Path

REQUIRES: tuple[str, ...] = ("shards",)
"""Names of the other extensions that this one imports."""

TEMPLATES = Path(__file__).parent / "templates"
