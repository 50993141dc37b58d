"""The interface of vocabularies, which map text to ids and back.

Each has four special ids: PAD fills a batch, UNK stands for unknown text, SOS starts the decoder and EOS ends a
sentence. A piece begins with ``▁`` (U+2581) where a space precedes it, in word vocabularies too, so that decoding
gives detokenised text.

The source vocabulary of dialogues has a fifth, the separator, which ends each turn but the last. It never results from
text: :mod:`nmt.data.dialogue` inserts it. A vocabulary may have tags: symbols such as ``<2de>`` that select the kind of
translation. They are recognised at the beginning of a text only.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from nmt.core.errors import UserError
from nmt.recipe.schema import VocabularyOptions

SPACE = "▁"
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
SEPARATOR = "<turn>"
TERM = "<term>", "</term>"  # around a given translation of the word before; pieces of the source
NEW_VOCABULARY = (
    "Have a new vocabulary made (without vocabulary.path; beside training.finetune_from, "
    "set training.new_vocabulary to true)"
)
"""The remedy where a vocabulary lacks what a recipe needs, without its end."""
TAG = re.compile(r"\s*(<[^<>\s]+>)\s*")
BYTE = re.compile("<0x[0-9A-F]{2}>")  # a piece for a byte of a character that a vocabulary lacks


class Piece(NamedTuple):
    """A piece of a sentence, for the characters ``text[begin:end]``."""

    id: int
    begin: int
    end: int


class Vocabulary(ABC):
    """Ids and their pieces. ``pad``, ``unk``, ``sos`` and ``eos`` are the special ids.

    ``separator`` is the id that ends a turn of a dialogue, or None. ``tags`` maps the names of tags to their ids.
    """

    suffix: str
    pad: int
    unk: int
    sos: int
    eos: int
    separator: int | None = None
    tags: Mapping[str, int] = {}
    is_closed = False  # whether each text is one token of a fixed set, without EOS: a label

    @abstractmethod
    def __len__(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a sentence and of the tags before it, without SOS and EOS; none for tags alone."""
        tags = self.tags_of(text)
        ids = self._encode(text[tags[-1].end :] if tags else text)
        return [tag.id for tag in tags] + ids if ids else []

    def pieces(self, text: str) -> list[Piece]:
        """Returns the ids of :meth:`encode` with their characters."""
        tags = self.tags_of(text)
        start = tags[-1].end if tags else 0
        pieces = [Piece(i, start + begin, start + end) for i, begin, end in self._pieces(text[start:])]
        return tags + pieces if pieces else []

    def after_tags(self, text: str) -> int:
        """Returns where a text begins after its tags."""
        tags = self.tags_of(text)
        return tags[-1].end if tags else 0

    def tags_of(self, text: str) -> list[Piece]:
        """Returns the tags at the beginning of a text."""
        tags: list[Piece] = []
        while self.tags and (match := TAG.match(text, tags[-1].end if tags else 0)) and match[1] in self.tags:
            tags.append(Piece(self.tags[match[1]], *match.span(1)))
        return tags

    @abstractmethod
    def _pieces(self, text: str) -> list[Piece]:
        """Returns the pieces of a text without tags."""

    def _encode(self, text: str) -> list[int]:
        """Returns the ids of :meth:`_pieces`; overridden where they can be found faster."""
        return [piece.id for piece in self._pieces(text)]

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Returns detokenised text, without PAD, SOS, EOS, the separator and tags."""

    @abstractmethod
    def token(self, index: int) -> str:
        """Returns the piece with this id, as it stands in the vocabulary."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Returns the content of the vocabulary's file."""

    @classmethod
    @abstractmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Reads what :meth:`to_bytes` wrote. Raises UserError if the content is not a vocabulary of this kind."""

    @classmethod
    @abstractmethod
    def learn(cls, lines: Iterable[str], options: VocabularyOptions, specials: Sequence[str], where: str) -> Self:
        """Learns a vocabulary from text.

        Args:
            lines: sentences; iterated once.
            options: ``vocabulary`` of the recipe.
            specials: further symbols, each with an id: the separator, tags and the symbols around given terms.
            where: name of the text in messages.

        Raises:
            UserError: there is no text, or too little for the size.
        """

    def has_ids_of(self, other: "Vocabulary") -> bool:
        """Returns whether the pieces of another vocabulary have the same ids in this one."""
        return self is other

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vocabulary does."""
        return hashlib.blake2b(self.to_bytes(), digest_size=16).hexdigest()


def no_text(where: str) -> UserError:
    """Returns the error for an empty text."""
    return UserError(f"{where} is empty: no vocabulary can be made.", "Check the training files.")
