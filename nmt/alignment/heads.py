"""Where in a model's attention its word alignment is read: which heads, and at which step of the decoder.

A model directory may say so in ``alignment.json``:

    heads      list of str   names of heads, "2:1" for layer 2 head 1; their mean is the alignment
    attention  str           "output": the weights of the step that predicts a word; "input": of the step that reads it
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args

from nmt.core.errors import UserError, nearest
from nmt.core.jsonlines import read_object
from nmt.core.output import write_output
from nmt.models.contracts import AttentionStep, Decoder, Head


@dataclass(frozen=True)
class AlignmentHeads:
    """The heads whose mean is read as word alignment, and the step it is read at."""

    heads: tuple[int, ...]
    """Indices into the decoder's ``heads``."""
    attention: AttentionStep

    @classmethod
    def of(cls, decoder: Decoder, heads: str | None = None, attention: str | None = None) -> Self:
        """Returns the named heads, or the decoder's default.

        Args:
            decoder: one with attention.
            heads: names separated by commas, such as ``2:1,2:3`` (layer and head, counted from 1).
            attention: ``output`` or ``input``.

        Raises:
            UserError: no such head or step.
        """
        if attention not in (None, *get_args(AttentionStep)):
            raise UserError(f"There is no attention {attention!r}.", "Choose output or input.")
        step: AttentionStep = "input" if attention == "input" else "output"
        if heads is None:
            return cls(decoder.alignment_heads, step)
        return cls(tuple(dict.fromkeys(_find(name.strip(), decoder.heads) for name in heads.split(","))), step)

    @classmethod
    def load(cls, path: Path, decoder: Decoder) -> Self:
        """Read ``alignment.json``; where there is none, the decoder's own choice.

        Raises:
            UserError: the file is damaged, or names a head that the decoder lacks.
        """
        if not path.is_file():
            return cls.of(decoder)
        try:
            values = read_object(path)
            return cls.of(decoder, ",".join(values["heads"]), values["attention"])
        except (OSError, ValueError, TypeError, KeyError, UserError):
            raise UserError(f"{path} doesn't fit the model.", "Delete it; `nmt learn-alignment` writes it.") from None

    def save(self, path: Path, decoder: Decoder) -> None:
        """Write ``alignment.json``."""
        write_output(path, json.dumps({"heads": self.names(decoder), "attention": self.attention}) + "\n")

    def names(self, decoder: Decoder) -> list[str]:
        return [decoder.heads[head].short_name for head in self.heads]


def _find(name: str, heads: Sequence[Head]) -> int:
    for index, head in enumerate(heads):
        if name in (head.short_name, head.name):
            return index
    known = [head.short_name for head in heads]
    raise UserError(f"The model has no attention head {name!r}.", nearest(name, known))
