"""Estimates of time, memory and quality before a model is trained."""

REQUIRES = ()
