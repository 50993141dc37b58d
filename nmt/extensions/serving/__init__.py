"""The HTTP server of ``nmt serve``: dynamic batches, the LibreTranslate API, and an API of its own."""

REQUIRES: tuple[str, ...] = ("documents", "lecture", "memory", "quality")
