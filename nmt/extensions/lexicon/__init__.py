"""Attention heads and a lexicon for word alignment, learned from parallel text."""

REQUIRES = ()
