"""Reranking of candidates by several models."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
