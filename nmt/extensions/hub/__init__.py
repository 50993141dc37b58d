"""Data sets of the Hugging Face hub as a source of text."""
