"""Reranking of candidates by several models."""

REQUIRES: tuple[str, ...] = ()
