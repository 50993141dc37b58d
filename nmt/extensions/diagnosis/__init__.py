"""Explanations of log-probabilities that are not finite."""
