"""Comparison of systems: paired tests, scores by length, words and sentences."""
