"""Classifiers of sentences and documents."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
