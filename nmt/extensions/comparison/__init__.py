"""Comparison of systems: paired tests, scores by length, words and sentences."""

from pathlib import Path

REQUIRES = ()
TEMPLATES = Path(__file__).parent / "templates"
