"""Attention heads and a lexicon for word alignment, learned from parallel text."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
