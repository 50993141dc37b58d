"""Comparison of systems: paired tests, scores by length, and robustness against changed input."""

from pathlib import Path

REQUIRES = ()
TEMPLATES = Path(__file__).parent / "templates"
