"""Pages of the lectures: how a sentence is translated, alignments, and a timeline of training."""

from pathlib import Path

REQUIRES: tuple[str, ...] = ()

TEMPLATES = Path(__file__).parent / "templates"
