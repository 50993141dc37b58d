"""Vocabularies of subword pieces and characters, by sentencepiece."""

from collections.abc import Sequence
from typing import Any

from nmt.core.errors import UserError
from nmt.data.vocabulary.base import SEPARATOR, TAG, Piece, Vocabulary


class SentencePieceVocabulary(Vocabulary):
    """A sentencepiece model: unigram (Kudo 2018), BPE (Sennrich et al. 2016) or characters."""

    suffix = ".model"

    def __init__(self, proto: bytes) -> None:
        import sentencepiece

        self._proto = proto
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(proto)
        except (RuntimeError, OSError):
            raise UserError("This is not a sentencepiece model.", "Name a .model file made by sentencepiece.") from None
        self.pad, self.unk = self._processor.pad_id(), self._processor.unk_id()
        self.sos, self.eos = self._processor.bos_id(), self._processor.eos_id()
        if min(self.pad, self.sos, self.eos) < 0:
            raise UserError(
                "This sentencepiece model lacks a padding, start or end piece.",
                "Train it with --pad_id, --bos_id and --eos_id set (0 or more), or let nmt train one.",
            )
        separator = self._processor.piece_to_id(SEPARATOR)
        if self._processor.is_control(separator):
            self.separator = separator
        own = {self.pad, self.sos, self.eos, self.separator}
        controls = (i for i in range(len(self)) if self._processor.is_control(i) and i not in own)
        self.tags = {name: i for i in controls if TAG.fullmatch(name := self.token(i))}
        self._hidden = own.union(self.tags.values())

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(_without_surrogates(text))
        return ids

    def scores(self) -> dict[str, float]:
        """The score of each piece that is text: log p in a unigram model, minus the rank of a merge in BPE."""
        p = self._processor
        kinds = (p.is_control, p.is_unknown, p.is_byte, p.is_unused)
        return {self.token(i): float(p.get_score(i)) for i in range(len(self)) if not any(kind(i) for kind in kinds)}

    def _pieces(self, text: str) -> list[Piece]:
        text = _without_surrogates(text)
        if hasattr(self._processor, "EncodeAsOffsetMapping"):
            found = self._processor.EncodeAsOffsetMapping(text)
            return [Piece(i, begin, end) for i, (begin, end) in zip(found["ids"], found["offsets"], strict=True)]
        processor: Any = self._processor
        proto = processor.encode(text, out_type="immutable_proto")  # sentencepiece before 0.2.2
        return [Piece(piece.id, piece.begin, piece.end) for piece in proto.pieces]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._processor.decode([i for i in ids if i not in self._hidden])
        return text

    def token(self, index: int) -> str:
        piece: str = self._processor.id_to_piece(index)
        return piece

    def to_bytes(self) -> bytes:
        return self._proto


def _without_surrogates(text: str) -> str:
    """Lone surrogates, which a Python string may hold although they are no text, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
