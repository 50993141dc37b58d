"""Alignment by the lexicon and the order of words, which takes a small part of the time of the model."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from nmt.alignment.aligner import AttentionAligner, WordPair
from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import Weights, WordAlignment
from nmt.core.errors import UserError

DIAGONAL = 2.0
"""Strength of the preference for the diagonal, for words that no model reads; 4 in fast_align."""


class LexiconAligner(AttentionAligner):
    """Aligns as another aligner, but without its model: ``weights`` are the probabilities of the links, and there are
    no scores.

    Raises:
        UserError: there is no lexicon, or the model reads dialogues.
    """

    lexicon: Lexicon

    def __init__(self, aligner: AttentionAligner) -> None:
        super().__init__(aligner.model, aligner.vocabularies, aligner.max_pieces, aligner.task)
        if aligner.lexicon is None:
            raise UserError(
                "The model directory has no lexicon to align by.",
                "Learn one from parallel text: nmt learn-alignment MODEL_DIR SOURCE TARGET",
            )
        self.task.require("lexicon alignment")
        self.lexicon = aligner.lexicon

    def compared(self, *args: Any, **options: Any) -> Iterator[tuple[WordAlignment, Weights, Weights]]:
        for alignment, posterior_TS, both_TS in super().compared(*args, **options):
            yield replace(alignment, weights=posterior_TS), posterior_TS, both_TS

    def attended(self, pairs: Iterable[WordPair], *args: Any, **options: Any) -> Iterator[WordAlignment]:
        """Pairs with the order of their words in place of attention; without links."""
        for source, target in pairs:
            weights = word_order(len(target.words), len(source.words))
            if tags := self.vocabularies.source.tags_of(source.text):
                weights = weights * np.array([begin >= tags[-1].end for begin, _ in source.spans])
            yield WordAlignment(source.words, target.words, weights, links=())


@lru_cache(1024)
def word_order(num_target: int, num_source: int) -> Weights:
    """Nearness of each pair of words to the diagonal, in place of attention (Dyer et al. 2013, equation 1). [T, S]"""
    target, source = ((np.arange(size) + 0.5) / max(size, 1) for size in (num_target, num_source))
    return np.exp(-DIAGONAL * np.abs(target[:, None] - source)).astype(np.float32)
