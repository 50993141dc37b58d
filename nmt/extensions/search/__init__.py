"""Other ways to search: random samples, diverse beams, and language models (shallow fusion)."""
