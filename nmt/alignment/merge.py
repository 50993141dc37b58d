"""Attention between pieces as attention between words and turns."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import Weights
from nmt.data.dialogue import TAB, turns_of
from nmt.data.vocabulary.base import Piece
from nmt.data.words import Words

Membership = npt.NDArray[np.float64]
"""[pieces, words]: 1 where a piece belongs to a word; a piece of no word has a row of zeros."""


def membership(words: Sequence[int], num_words: int) -> Membership:
    """Returns the membership of pieces, given the index of the word of each, or -1 for a piece of no word."""
    return np.equal.outer(np.asarray(words, dtype=np.int64), np.arange(num_words)).astype(np.float64)


def merge_to_words(weights_TS: npt.NDArray[np.floating], of_source: Membership, of_target: Membership) -> Weights:
    """Turn attention between pieces into attention between words, for one head or for several.

    The weight of a source word is the sum over its pieces; the weights of a target word are the mean over its pieces
    (Clark et al. 2019, "What Does BERT Look At?"). The weight of pieces of no word (EOS) is dropped, so that rows may
    sum to less than 1. Words without a piece get a column or a row of zeros.

    Args:
        weights_TS: attention of the pieces, [..., T_pieces, S_pieces].

    Returns:
        [..., target words, source words] float32.
    """
    return np.asarray(mean_of_pieces(weights_TS, of_target) @ of_source, dtype=np.float32)


def mean_of_pieces(values_PX: npt.NDArray[np.floating], of_words: Membership) -> npt.NDArray[np.float64]:
    """The mean of the values of each word's pieces; 0 for a word without a piece. [..., words, X]"""
    means: npt.NDArray[np.float64] = (of_words / np.maximum(of_words.sum(axis=0), 1)).T @ values_PX
    return means


def turns_of_words(source: Words) -> tuple[int, ...]:
    """The turn of each source word, counted from the first of the line, 0."""
    return tuple(turns_of(source.text, [begin for begin, _ in source.spans]))


def merge_to_turns(
    weights_TS: npt.NDArray[np.floating],
    source: Words,
    source_pieces: Sequence[Piece],
    of_target: Membership,
) -> Weights:
    """Turn attention between pieces into attention of target words to turns; separators belong to their turns.

    Args:
        weights_TS: attention of the pieces, [T_pieces, S_pieces]; the rest to 1 of a row is the attention to EOS.
        source, source_pieces: the words and the pieces that were read.
        of_target: of the target; words without a piece get a row of zeros.

    Returns:
        [target words, turns] float32. For hierarchical attention these are the weights of the utterances.
    """
    num_turns = source.text.count(TAB) + 1
    of_turns = membership(turns_of(source.text, [piece.begin for piece in source_pieces]), num_turns)
    merged, has_piece = merge_to_words(weights_TS, of_turns, of_target), of_target.any(axis=0)
    merged[has_piece, -1] = np.maximum(1 - merged[has_piece, :-1].sum(axis=1), 0)  # EOS ends the current turn
    return merged
