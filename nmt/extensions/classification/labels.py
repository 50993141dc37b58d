"""The labels of a classifier as a vocabulary: text to ids and back."""

from collections.abc import Iterable, Sequence
from typing import Self

from nmt.core.errors import UserError
from nmt.data.vocabulary.base import Piece
from nmt.data.vocabulary.words import WordVocabulary


class LabelVocabulary(WordVocabulary):
    """Each line is one label; there is no EOS and no UNK."""

    suffix = ".labels"
    pad = sos = 0  # unused: all targets have the same length, and a classifier ignores its input
    unk = eos = -1
    is_closed = True

    def __init__(self, labels: Sequence[str]) -> None:
        self._words = list(labels)
        self._ids = {label: index for index, label in enumerate(labels)}

    @classmethod
    def of(cls, lines: Iterable[str], max_labels: int) -> Self:
        """Returns the labels of the target side of the training text, in alphabetical order. Raises UserError if there
        are too many different lines, or too few."""
        labels = sorted({line.strip() for line in lines} - {""})
        if 2 <= len(labels) <= max_labels:
            return cls(labels)
        raise UserError(
            f"The target side has {len(labels):,} different lines; a classifier needs 2 to {max_labels:,} labels.",
            "Write one label on each line of the target side, or raise vocabulary.size.",
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        if not (labels := content.decode("utf-8").split("\n")[:-1]):
            raise UserError("The file has no labels.", "Write one label on each line.")
        return cls(labels)

    def _pieces(self, text: str) -> list[Piece]:
        if (label := text.strip()) and label not in self._ids:
            known = ", ".join(self._words[:20]) + (" …" if len(self) > 20 else "")
            raise UserError(f"{label!r} is none of the model's {len(self)} labels.", f"The labels are {known}.")
        begin = text.find(label)
        return [Piece(self._ids[label], begin, begin + len(label))] if label else []

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(self.token, ids))
