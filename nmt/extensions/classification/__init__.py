"""Classifiers of sentences and documents."""
