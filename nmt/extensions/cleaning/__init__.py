"""Checks and filters of parallel text, and synthetic text."""

from pathlib import Path

REQUIRES: tuple[str, ...] = ("shards",)

TEMPLATES = Path(__file__).parent / "templates"
