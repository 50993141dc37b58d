"""Attention: scores between queries and a memory, with one head and with several."""
