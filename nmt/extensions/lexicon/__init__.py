"""Attention heads and a lexicon for word alignment, learned from parallel text, and alignment by the lexicon."""
