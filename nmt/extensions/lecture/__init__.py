"""Pages of the lectures: how a sentence is translated, alignments, and a timeline of training."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
