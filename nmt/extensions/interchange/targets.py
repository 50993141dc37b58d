"""Export targets: the formats of other programs in which ``nmt export`` writes a model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from nmt.recipe.registry import Table, provided
from nmt.translation.translator import Translator

Quantization = Literal["int8", "int16", "float16", "bfloat16"]
"""Type of stored weights other than float32."""


def with_decoding(translator: Translator, **changes: Any) -> Translator:
    """Returns the translator with other decoding options in its recipe."""
    decoding = translator.recipe.decoding.model_copy(update=changes)
    return translator.replaced(recipe=translator.recipe.model_copy(update={"decoding": decoding}))


def shortlists(translator: Translator) -> list[list[int]]:
    """Returns the target ids that each search has and those of each source id, by ``decoding.shortlist``; none without.

    Raises:
        UserError: the model has no lexicon, or there are no shortlists in this installation.
    """
    size, vocabularies = translator.recipe.decoding.shortlist, translator.vocabularies
    if size is None:
        return []
    search = provided("shortlist", "decoding.shortlist")(translator.aligner.lexicon, vocabularies, size)
    found = search.candidates
    return [sorted(found.always), *(sorted(found.of_token(token)) for token in range(len(vocabularies.source)))]


class ExportTarget(ABC):
    """A format of another program."""

    default_quantization: ClassVar[Quantization | None] = None
    """Type of the stored weights where the user names none; None is float32."""

    @abstractmethod
    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        """Writes a model, and checks it if possible.

        Args:
            translator: of the model, on the CPU.
            output: a new file or folder.
            quantization: type of the stored weights; None keeps float32.
            lines: source sentences with which the exported model can be checked; may be empty.

        Returns:
            Messages for the user; the first one names the file or folder and the result of the check.

        Raises:
            UserError: the format can't hold the model or the type of weights, or the output exists.
        """


EXPORT_TARGETS: Table[ExportTarget] = Table(
    "export target",
    ExportTarget,
    {
        "ctranslate2": "nmt.extensions.interchange.run:CTranslate2",
        "argos": "nmt.extensions.interchange.argos:Argos",
        "onnx": "nmt.extensions.interchange.onnx:Onnx",
        "web": "nmt.extensions.interchange.web:Web",
        "huggingface": "nmt.extensions.interchange.huggingface:HuggingFace",
    },
)
