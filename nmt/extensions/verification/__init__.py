"""Comparison of a model's implementations with each other: batches, caches, ONNX, interventions."""

REQUIRES: tuple[str, ...] = ("interchange", "lecture")
"""Names of the other extensions that this one imports."""
