"""Classifiers of sentences and documents."""

REQUIRES: tuple[str, ...] = ()
