"""Reranking of candidates by several models."""
