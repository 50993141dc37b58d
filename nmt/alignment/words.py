"""Words of a text, where they stand in it, and which word each subword piece belongs to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from nmt.data.vocabulary import Piece

_CLOSING = frozenset(".,;:!?%)]}…’”»")
_OPENING = frozenset("([{¿¡„«")


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
    def detokenise(cls, tokens: Sequence[str]) -> Self:
        """Tokens put together to the raw text that a model was trained on, each still a word of its own.

        Punctuation is joined to the word before it, opening brackets to the word after.
        """
        text, spans = "", []
        joined = True
        for token in tokens:
            if not joined and token[:1] not in _CLOSING:
                text += " "
            spans.append((len(text), len(text) + len(token)))
            text += token
            joined = token in _OPENING
        return cls(text, tuple(tokens), tuple(spans))

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
