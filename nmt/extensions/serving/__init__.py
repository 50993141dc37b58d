"""The HTTP server of ``nmt serve``: dynamic batches, the LibreTranslate API, and an API of its own."""

from pathlib import Path

REQUIRES: tuple[str, ...] = ("documents", "lecture", "memory", "quality")

TEMPLATES = Path(__file__).parent / "templates"
