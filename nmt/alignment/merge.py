"""Attention between pieces as attention between words and turns."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import Weights
from nmt.data.dialogue import TAB, turns_of
from nmt.data.vocabulary.base import Piece
from nmt.data.words import Words


def merge_to_words(
    weights_TS: npt.NDArray[np.floating],
    source_words: Sequence[int],
    target_words: Sequence[int],
    num_source: int,
    num_target: int,
) -> Weights:
    """Turn attention between pieces into attention between words.

    The weight of a source word is the sum over its pieces; the weights of a target word are the mean over its pieces
    (Clark et al. 2019, "What Does BERT Look At?"). The weight of pieces of no word (EOS) is dropped, so that rows may
    sum to less than 1.

    Args:
        weights_TS: attention of the pieces, [T_pieces, S_pieces].
        source_words: for each source piece the index of its word, or -1 for a piece of no word.
        target_words: likewise for the target.
        num_source: number of source words; words without a piece get a column of zeros.
        num_target: number of target words; words without a piece get a row of zeros.

    Returns:
        [num_target, num_source] float32.
    """
    merged = _means(target_words, num_target) @ weights_TS @ _membership(source_words, num_source)
    return np.asarray(merged, dtype=np.float32)


def mean_of_pieces(values: npt.NDArray[np.floating], words: Sequence[int], num_words: int) -> tuple[float, ...]:
    """The mean over each word's pieces of a figure that every piece has; 0 for a word without a piece."""
    return tuple((_means(words, num_words) @ values.astype(np.float64)).tolist())


def _means(words: Sequence[int], num_words: int) -> npt.NDArray[np.float64]:
    """[words, pieces]: takes the mean over the pieces of each word."""
    membership = _membership(words, num_words)
    means: npt.NDArray[np.float64] = (membership / np.maximum(membership.sum(axis=0, keepdims=True), 1)).T
    return means


def _membership(words: Sequence[int], num_words: int) -> npt.NDArray[np.float64]:
    """[pieces, words]: 1 where the piece belongs to the word; a row of zeros for -1."""
    return np.equal.outer(np.asarray(words, dtype=np.int64), np.arange(num_words)).astype(np.float64)


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
    """Turn attention between pieces into attention of target words to turns; separators belong to their turns.

    Args:
        weights_TS: attention of the pieces, [T_pieces, S_pieces]; the rest to 1 of a row is the attention to EOS.
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
