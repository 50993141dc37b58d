"""Vocabularies: text to ids and back.

Four special ids exist in each: PAD fills a batch, UNK stands for what isn't known, SOS starts the decoder and
EOS ends a sentence. Pieces carry ``▁`` (U+2581) in place of the space before them, in word vocabularies too,
so that decoding gives detokenised text in every case.

The vocabulary of a recipe with dialogues has a fifth, the separator, which ends a turn that another one follows. It is
never found in text: `nmt/data/dialogue.py` puts it between the turns of a line.

A vocabulary may have tags: symbols such as ``<2de>`` that tell what translation is wanted. They are read in front of a
text, and nowhere else.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

SPACE = "▁"
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
SEPARATOR = "<turn>"
TERM = "<term>", "</term>"  # around a given translation of the word before; pieces of the source
TAG = re.compile(r"\s*(<[^<>\s]+>)\s*")


class Piece(NamedTuple):
    """A piece of a sentence and the characters ``text[begin:end]`` that it stands for."""

    id: int
    begin: int
    end: int


class Vocabulary(ABC):
    """Ids and their pieces. ``pad``, ``unk``, ``sos`` and ``eos`` are the special ids.

    ``separator`` is the id that ends a turn of a dialogue; None where the vocabulary was made without. ``tags`` has the
    ids of the tags by their names.
    """

    suffix: str
    pad: int
    unk: int
    sos: int
    eos: int
    separator: int | None = None
    tags: Mapping[str, int] = {}
    is_closed = False
    """Whether each text is one token of a fixed set, without EOS: a label."""

    @abstractmethod
    def __len__(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Ids of a sentence and of the tags in front of it, without SOS and EOS; tags alone have none."""
        tags = self.tags_of(text)
        ids = self._encode(text[tags[-1].end :] if tags else text)
        return [tag.id for tag in tags] + ids if ids else []

    def pieces(self, text: str) -> list[Piece]:
        """The same ids with the characters each came from."""
        tags = self.tags_of(text)
        start = tags[-1].end if tags else 0
        pieces = [Piece(i, start + begin, start + end) for i, begin, end in self._pieces(text[start:])]
        return tags + pieces if pieces else []

    def tags_of(self, text: str) -> list[Piece]:
        """The tags in front of a text."""
        found: list[Piece] = []
        while self.tags and (match := TAG.match(text, found[-1].end if found else 0)) and match[1] in self.tags:
            found.append(Piece(self.tags[match[1]], *match.span(1)))
        return found

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """Ids of a text without tags."""

    @abstractmethod
    def _pieces(self, text: str) -> list[Piece]:
        """The same ids with the characters each came from."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Detokenised text; PAD, SOS, EOS, the separator and tags vanish."""

    @abstractmethod
    def token(self, index: int) -> str:
        """The piece with this id, as it is written in the vocabulary."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """What the vocabulary's file holds."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vocabulary does."""
        return hashlib.blake2b(self.to_bytes(), digest_size=16).hexdigest()
