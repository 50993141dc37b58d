"""Dialogues in alignments: how much attention goes to each turn of the source."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import Weights, merge_to_words
from nmt.alignment.words import Words
from nmt.data.dialogue import TAB, turns_of
from nmt.data.vocabulary import Piece


def turns_of_words(source: Words) -> tuple[int, ...]:
    """The turn of each source word, counted from the first of the line, 0."""
    return tuple(turns_of(source.text, [begin for begin, _ in source.spans]))


def merge_to_turns(
    weights_TS: npt.NDArray[np.floating],
    source: Words,
    source_pieces: Sequence[Piece],
    target_words: Sequence[int],
    num_target: int,
) -> Weights:
    """Turn attention between pieces into the attention that target words pay to turns, their separators counted.

    Args:
        weights_TS: attention of the pieces, [T_pieces, S_pieces]; what is missing to 1 in a row went to EOS.
        source, source_pieces: the words and the pieces that were read.
        target_words: for each target piece the index of its word, or -1.
        num_target: number of target words; words without a piece get a row of zeros.

    Returns:
        [num_target, turns] float32. For hierarchical attention these are the weights of the utterances.
    """
    num_turns = source.text.count(TAB) + 1
    turns = turns_of(source.text, [piece.begin for piece in source_pieces])
    merged = merge_to_words(weights_TS, turns, target_words, num_turns, num_target)
    has_piece = np.isin(np.arange(num_target), target_words)
    merged[has_piece, -1] = np.maximum(1 - merged[has_piece, :-1].sum(axis=1), 0)  # EOS ends the current turn
    return merged
