"""Vocabularies of whole words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

from nmt.core.errors import UserError
from nmt.core.text import UNSPACED
from nmt.data.vocabulary.base import SEPARATOR, SPACE, SPECIALS, TAG, TERM, Piece, Vocabulary, no_text
from nmt.recipe.schema import VocabularyOptions

MARKS = "".join(mark for mark in map(chr, range(0x300, 0x10000)) if unicodedata.category(mark).startswith("M"))
"""Vowel signs and accents, which stand inside words of many scripts and are no letters."""
_WORD = re.compile(rf"</?term>|\w+(?:(?:[{re.sub(f'[{UNSPACED}]', '', MARKS)}]|[’'\-](?=\w))\w*)*|[^\w\s]")


class WordVocabulary(Vocabulary):
    """Whole words and punctuation marks, by descending frequency; everything else is UNK."""

    suffix = ".txt"
    pad, unk, sos, eos = range(4)

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [*SPECIALS, *words]
        self._ids = {word: index for index, word in enumerate(self._words)}
        # No word of a text has the form of the separator or of a tag.
        self.separator = self._ids.get(SEPARATOR)
        self.tags = {w: self._ids[w] for w in words if w not in (SEPARATOR, *TERM) and TAG.fullmatch(w)}
        self._hidden = {self.pad, self.sos, self.eos, self.separator, *self.tags.values()}

    @classmethod
    def learn(cls, lines: Iterable[str], options: VocabularyOptions, specials: Sequence[str], where: str) -> Self:
        counts = Counter(word for line in lines for word, _, _ in cls.split(line))
        if not counts:
            raise no_text(where)
        # Ties are in alphabetical order, so that the result doesn't depend on the order of lines.
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [word for word, count in ranked if count >= options.min_count and word not in SPECIALS]
        return cls([*specials, *kept[: options.size - len(SPECIALS) - len(specials)]])

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        words = content.decode("utf-8").splitlines()
        if tuple(words[:4]) != SPECIALS:
            raise UserError("This is not a word vocabulary.", f"It must start with {' '.join(SPECIALS)}, a line each.")
        return cls(words[4:])

    @staticmethod
    def split(text: str) -> list[tuple[str, int, int]]:
        """Returns words with their character spans; ``▁`` marks those that follow a space or start the sentence."""
        spans = [match.span() for match in _WORD.finditer(text)]
        return [
            (SPACE * (begin == 0 or text[begin - 1].isspace()) + text[begin:end], begin, end) for begin, end in spans
        ]

    def __len__(self) -> int:
        return len(self._words)

    def _pieces(self, text: str) -> list[Piece]:
        return [Piece(self._ids.get(word, self.unk), begin, end) for word, begin, end in self.split(text)]

    def decode(self, ids: Sequence[int]) -> str:
        words = [SPACE + self._words[i] if i == self.unk else self._words[i] for i in ids if i not in self._hidden]
        return "".join(words).replace(SPACE, " ").strip()

    def token(self, index: int) -> str:
        return self._words[index]

    def to_bytes(self) -> bytes:
        return "".join(word + "\n" for word in self._words).encode("utf-8")
