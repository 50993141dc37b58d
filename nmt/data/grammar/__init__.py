"""The embedded corpus: English-German sentence pairs, generated with their true word alignments.

From the bottom: ``tables`` lists the words, ``lexicon`` inflects them, ``phrases`` and ``clauses`` build aligned text
and say how words are linked, ``sampling`` chooses phrases, ``sentences`` chooses sentences, and ``corpus`` deals them
out. Each English sentence has one German translation.
"""

from nmt.data.grammar.corpus import generate, splits
from nmt.data.grammar.phrases import AlignedPair

__all__ = ["AlignedPair", "generate", "splits"]
