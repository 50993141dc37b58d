"""Comparison of a model's implementations with each other: batches, caches, ONNX, interventions."""

REQUIRES: tuple[str, ...] = ("interchange", "lecture")
