"""The HTTP server of ``nmt serve``: dynamic batches, the LibreTranslate API, and an API of its own."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
