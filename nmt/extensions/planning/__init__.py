"""Estimates of quality before a model is trained, and the largest batch that fits on a GPU."""
