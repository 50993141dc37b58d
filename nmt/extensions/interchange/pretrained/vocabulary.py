"""Vocabularies of pretrained models: a sentencepiece model with ids of its own, and language tokens."""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmt.core.errors import UserError, nearest
from nmt.data.vocabulary.base import SPACE, Piece, Vocabulary
from nmt.data.vocabulary.sentencepiece import without_surrogates
from nmt.recipe.schema import VocabularyOptions

MARIAN_TAG = re.compile(r"(>>[^<>\s]+<<)")
"""The token that names the target language of a multilingual Marian model, in front of a source line."""


class PretrainedTable(BaseModel):
    """Content of the file of a pretrained vocabulary."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pieces: list[str] = Field(min_length=4)
    """The pieces by id, which differ."""
    pad: int
    unk: int
    sos: int
    """Token that the decoder reads first; of a model with language tokens, the target language."""
    eos: int
    languages: dict[str, int] = {}
    """Language tokens, which never result from text. Those of the form ``>>xx<<`` may begin a line."""
    prefix: list[int] = []
    """Ids in front of each text that has no language token, such as the one of the source language."""
    hidden: list[int] = []
    """Other ids that never result from text, such as a mask."""
    sentencepiece: str
    """The sentencepiece model, in base64."""

    @model_validator(mode="after")
    def _ids_exist(self) -> "PretrainedTable":
        ids = (self.pad, self.unk, self.sos, self.eos, *self.prefix, *self.hidden, *self.languages.values())
        if not all(0 <= i < len(self.pieces) for i in ids):
            raise ValueError(f"an id is none of the {len(self.pieces)} ids")
        if len(set(self.pieces)) < len(self.pieces):
            raise ValueError("a piece stands there twice")
        return self


class PretrainedVocabulary(Vocabulary):
    """The tokenizer of a pretrained model, which `nmt import` writes.

    Text is divided by a sentencepiece model. The ids of the pieces come from a table, in which a piece can be missing:
    it is UNK. Special symbols in a text are text.
    """

    suffix = ".json"

    def __init__(self, table: PretrainedTable) -> None:
        import sentencepiece

        self.table = table
        self.pad, self.unk, self.sos, self.eos = table.pad, table.unk, table.sos, table.eos
        self.tags = table.languages
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self.sentencepiece_model = base64.b64decode(table.sentencepiece)
            self._processor.LoadFromSerializedProto(self.sentencepiece_model)
        except (RuntimeError, OSError, ValueError):
            raise UserError(
                "The vocabulary has no valid sentencepiece model.", "Import the pretrained model again."
            ) from None
        self._hidden = {self.pad, self.sos, self.eos, *table.hidden, *table.languages.values()}
        self._ids = {piece: i for i, piece in enumerate(table.pieces) if i not in self._hidden}

    @classmethod
    def learn(cls, lines: Iterable[str], options: VocabularyOptions, specials: Sequence[str], where: str) -> Self:
        raise UserError(
            "A vocabulary of type pretrained belongs to a pretrained model and is not learned.",
            "Give the imported model directory as training.finetune_from, or choose another vocabulary.type.",
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        try:
            return cls(PretrainedTable.model_validate_json(content))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"This is not the vocabulary of a pretrained model: {where} {first['msg']}.", "Import the model again."
            ) from None

    def to_bytes(self) -> bytes:
        return json.dumps(self.table.model_dump(), ensure_ascii=False).encode("utf-8", "surrogatepass")

    def has_ids_of(self, other: Vocabulary) -> bool:
        return isinstance(other, PretrainedVocabulary) and self.table.pieces == other.table.pieces

    def between(self, target: "PretrainedVocabulary", *codes: str) -> tuple[Self, "PretrainedVocabulary"]:
        """Returns the source and the target vocabulary of a multilingual model for two other languages of it.

        Args:
            target: the target vocabulary that belongs to this one.
            codes: the source and the target language, as the model names them.

        Raises:
            UserError: the model lacks a language.
        """
        ids = {name.strip("_"): i for name, i in self.tags.items()}
        for code in codes:
            if code not in ids:
                raise UserError(f"The model has no language {code!r}.", nearest(code, ids))
        prefix, sos = (ids[code] for code in codes)
        source_table = self.table.model_copy(update={"prefix": [prefix], "sos": sos})
        return type(self)(source_table), type(target)(target.table.model_copy(update={"sos": sos}))

    def __len__(self) -> int:
        return len(self.table.pieces)

    def tags_of(self, text: str) -> list[Piece]:
        match = MARIAN_TAG.match(text)
        return [Piece(self.tags[match[1]], *match.span(1))] if match and match[1] in self.tags else []

    def encode(self, text: str) -> list[int]:
        ids = super().encode(text)
        return [*self.table.prefix, *ids] if ids and not self.tags_of(text) else ids

    def pieces(self, text: str) -> list[Piece]:
        pieces = super().pieces(text)
        prefix = [Piece(i, 0, 0) for i in self.table.prefix] if pieces and not self.tags_of(text) else []
        return prefix + pieces

    def _encode(self, text: str) -> list[int]:
        return [
            self._ids.get(piece, self.unk) for piece in self._processor.encode(without_surrogates(text), out_type=str)
        ]

    def _pieces(self, text: str) -> list[Piece]:
        offsets = self._processor.EncodeAsOffsetMapping(without_surrogates(text))["offsets"]
        return [Piece(i, begin, end) for i, (begin, end) in zip(self._encode(text), offsets, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._processor.decode_pieces([self.table.pieces[i] for i in ids if i not in self._hidden])
        return text.replace(SPACE, " ").strip()

    def token(self, index: int) -> str:
        return self.table.pieces[index]


def prefix_of(vocabulary: Vocabulary) -> list[str]:
    """Returns the tokens in front of each text, which only some pretrained models have."""
    return list(map(vocabulary.token, vocabulary.table.prefix)) if isinstance(vocabulary, PretrainedVocabulary) else []
