"""Words of a text, and the word of each subword piece."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from nmt.core.errors import UserError
from nmt.core.text import INVISIBLE
from nmt.data.dialogue import SENTENCES, TAB, LineReader
from nmt.data.vocabulary.base import Piece
from nmt.data.vocabulary.words import WordVocabulary

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
            covered = word_at[piece.begin : max(piece.end, piece.begin + 1)]
            counts = Counter(word for word in covered if word >= 0)
            owners.append(max(counts, key=counts.__getitem__, default=-1))  # the first of several
        return owners


MAX_CELLS = 1 << 24  # largest product of the words of both sides; a cell takes about 20 bytes during alignment


def checked_pair(pair: Sequence[str], number: int) -> tuple[str, str]:
    """Returns the texts of a pair as a model reads them, with as many words; raises UserError if it isn't two texts."""
    if isinstance(pair, str | Mapping | None) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
        raise UserError(f"Pair {number:,} isn't two texts.", 'Give pairs: [("SOURCE", "TARGET"), …].')
    source, target = pair
    if source.translate(INVISIBLE) != source:  # of few lines
        source = re.sub(r"\S+", lambda word: word[0].translate(INVISIBLE) or word[0], source)
    return source, target


def split_pairs(
    pairs: Iterable[tuple[str, str]], tokenized: bool, split_punctuation: bool, reader: LineReader = SENTENCES
) -> Iterator[tuple[Words, Words]]:
    """Splits pairs of texts into words.

    Text is either tokenised, with spaces between (:meth:`Words.detokenise`), or raw. The reader says which parts the
    lines have; of targets, the part that is translated counts. Raises UserError if a pair isn't two texts, or the
    matrix of its words has more than :data:`MAX_CELLS` cells.
    """

    def words(text: str) -> Words:
        if tokenized:
            return Words.join([Words.detokenise(turn.split()) for turn in reader.turns(text)], TAB)
        return Words.split_punctuation(text) if split_punctuation else Words.split(text)

    for number, pair in enumerate(pairs, start=1):
        source, target = checked_pair(pair, number)
        both = words(source), words(reader.current(target))
        if len(both[0].words) * len(both[1].words) > MAX_CELLS:
            counts = " and ".join(f"{len(side.words):,}" for side in both)
            raise UserError(f"Pair {number:,} has {counts} words: too many to align.", "Split it into sentences.")
        yield both
