"""Checks and filters of parallel text, and synthetic text."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
