"""Words of a text, the word that each subword piece belongs to, and attention between pieces as that between words."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import Weights
from nmt.data.dialogue import TAB, current_turn, split_turns, turns_of
from nmt.data.vocabulary import Piece, WordVocabulary

# What tokenisers separate from the word before it, and from the word after it.
_CLOSING = re.compile(r"[.,;:!?%)\]}…”]+|’|n['’]t|['’](?:s|d|m|t|re|ve|ll)", re.IGNORECASE)
_OPENING = re.compile(r"[(\[{¿¡„]+|(?:[cdjlmnst]|qu)['’]", re.IGNORECASE)
# Languages disagree on which of these opens: the first does, the next one closes.
_QUOTES = frozenset('"“«»')


@dataclass(frozen=True)
class Words:
    """A text and its words; ``spans[i]`` are the characters ``text[begin:end]`` of word ``i``."""

    text: str
    spans: tuple[tuple[int, int], ...]

    @cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(self.text[begin:end] for begin, end in self.spans)

    @classmethod
    def whole(cls, text: str) -> Self:
        """A text that is one word."""
        return cls(text, ((0, len(text)),) if text else ())

    @classmethod
    def split(cls, text: str) -> Self:
        """The words of raw text, separated by white space."""
        return cls(text, tuple(match.span() for match in re.finditer(r"\S+", text)))

    @classmethod
    def split_punctuation(cls, text: str) -> Self:
        """The words of raw text, with each punctuation mark as a word of its own: those of word vocabularies."""
        return cls(text, tuple((begin, end) for _, begin, end in WordVocabulary.split(text)))

    @classmethod
    def detokenise(cls, tokens: Sequence[str]) -> Self:
        """Tokens joined to raw text like that of the training data; each remains a word.

        Punctuation, closing brackets and parts of words such as ``n't`` are joined to the word before, opening
        brackets to the word after; quotation marks open and close alternately.
        """
        text, spans = "", []
        joined, quoted = True, False
        for token in tokens:
            closes = _CLOSING.fullmatch(token) is not None or (quoted and token in _QUOTES)
            if not (joined or closes):
                text += " "
            spans.append((len(text), len(text) + len(token)))
            text += token
            joined = not closes and (token in _QUOTES or _OPENING.fullmatch(token) is not None)
            if token in _QUOTES or token in ("„", "”"):
                quoted = joined
        return cls(text, tuple(spans))

    @classmethod
    def join(cls, parts: Sequence["Words"], separator: str) -> Self:
        """Several texts with a separator between them that belongs to no word."""
        spans, begin = [], 0
        for part in parts:
            spans += [(begin + first, begin + last) for first, last in part.spans]
            begin += len(part.text) + len(separator)
        return cls(separator.join(part.text for part in parts), tuple(spans))

    def of_pieces(self, pieces: Sequence[Piece]) -> list[int]:
        """The word that most of each piece belongs to; -1 for a piece that belongs to none."""
        word_at = [-1] * len(self.text)
        for index, (begin, end) in enumerate(self.spans):
            word_at[begin:end] = [index] * (end - begin)
        owners = []
        for piece in pieces:
            # Of the bytes of one character only the last covers it; the others stand at its beginning.
            covered = [w for w in word_at[piece.begin : max(piece.end, piece.begin + 1)] if w >= 0]
            owners.append(max(covered, key=covered.count, default=-1))
        return owners


def split_pairs(
    pairs: Iterable[tuple[str, str]], tokenized: bool, split_punctuation: bool, is_dialogue: bool = False
) -> Iterator[tuple[Words, Words]]:
    """Pairs of texts in words.

    Args:
        pairs: source and target text.
        tokenized: tokens with spaces between, see :meth:`Words.detokenise`.
        split_punctuation: of text that is not tokenised, see :meth:`Words.split_punctuation`.
        is_dialogue: sources are turns with tabs between, and of targets the current turn counts.
    """

    def words(text: str) -> Words:
        if tokenized:
            turns = split_turns(text) if is_dialogue else [text]
            return Words.join([Words.detokenise(turn.split()) for turn in turns], TAB)
        return Words.split_punctuation(text) if split_punctuation else Words.split(text)

    return ((words(source), words(current_turn(target) if is_dialogue else target)) for source, target in pairs)


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
