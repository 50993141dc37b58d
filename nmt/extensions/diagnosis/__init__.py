"""Explanations of log-probabilities that are not finite."""

REQUIRES: tuple[str, ...] = ()
