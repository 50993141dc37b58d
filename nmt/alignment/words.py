"""Words of a text, where they stand in it, and which word each subword piece belongs to."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from nmt.data.dialogue import TAB, current_turn, split_turns
from nmt.data.vocabulary import Piece, WordVocabulary

# What tokenisers part from the word before it, and from the word after it.
_CLOSING = re.compile(r"[.,;:!?%)\]}…”]+|’|n['’]t|['’](?:s|d|m|t|re|ve|ll)", re.IGNORECASE)
_OPENING = re.compile(r"[(\[{¿¡„]+|(?:[cdjlmnst]|qu)['’]", re.IGNORECASE)
# Languages disagree on which of these opens: the first does, the next one closes.
_QUOTES = frozenset('"“«»')


@dataclass(frozen=True)
class Words:
    """A text and its words; ``spans[i]`` are the characters ``text[begin:end]`` of word ``i``."""

    text: str
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def split(cls, text: str) -> Self:
        """The words of raw text: what stands between white space."""
        words, spans, position = text.split(), [], 0
        for word in words:
            begin = text.index(word, position)
            position = begin + len(word)
            spans.append((begin, position))
        return cls(text, tuple(words), tuple(spans))

    @classmethod
    def split_punctuation(cls, text: str) -> Self:
        """The words of raw text, with each punctuation mark as a word of its own: those of word vocabularies."""
        spans = tuple((begin, end) for _, begin, end in WordVocabulary.split(text))
        return cls(text, tuple(text[begin:end] for begin, end in spans), spans)

    @classmethod
    def detokenise(cls, tokens: Sequence[str]) -> Self:
        """Tokens put together to raw text like that which a model was trained on, each still a word of its own.

        Punctuation, closing brackets and parts of words such as ``n't`` are joined to the word before, opening
        brackets to the word after; quotation marks open and close in turns.
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
        return cls(text, tuple(tokens), tuple(spans))

    @classmethod
    def join(cls, parts: Sequence["Words"], separator: str) -> Self:
        """Several texts one after another, with something between that belongs to no word."""
        spans, begin = [], 0
        for part in parts:
            spans += [(begin + first, begin + last) for first, last in part.spans]
            begin += len(part.text) + len(separator)
        text = separator.join(part.text for part in parts)
        return cls(text, tuple(word for part in parts for word in part.words), tuple(spans))

    def of_pieces(self, pieces: Sequence[Piece]) -> list[int]:
        """The word that each piece stands for most of; -1 for a piece that stands for none."""
        word_at = [-1] * len(self.text)
        for index, (begin, end) in enumerate(self.spans):
            word_at[begin:end] = [index] * (end - begin)
        owners = []
        for piece in pieces:
            # Of the bytes of one character only the last covers it; the others stand at its beginning.
            covered = [w for w in word_at[piece.begin : max(piece.end, piece.begin + 1)] if w >= 0]
            owners.append(Counter(covered).most_common(1)[0][0] if covered else -1)
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
