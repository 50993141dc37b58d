"""Vocabularies: text to ids and back, one kind a file."""
