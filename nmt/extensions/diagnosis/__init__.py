"""Explanations of log-probabilities that are not finite."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
