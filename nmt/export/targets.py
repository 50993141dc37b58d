"""Export targets: the formats of other programs in which ``nmt export`` writes a model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from nmt.export.argos import export_argos
from nmt.export.ct2 import Quantization, export
from nmt.export.run import check, usage
from nmt.recipe.registry import Table
from nmt.translation.translator import Translator


class ExportTarget(ABC):
    """A format of another program."""

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
            Messages for the user; the first one names the file or folder and what the check has found.

        Raises:
            UserError: the format can't hold the model or the type of weights, or the output exists.
        """


class CTranslate2(ExportTarget):
    """A folder for ``ctranslate2.Translator``."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        export(translator, output, quantization)
        agreement = check(output, translator, lines, exact=quantization is None)
        return [f"wrote {output}: {agreement}", "In Python:\n", usage(output)]


class Argos(ExportTarget):
    """A package for Argos Translate and LibreTranslate."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        path, agreement = export_argos(translator, output, quantization, lines)
        return [f"wrote {path}: {agreement}"]


EXPORT_TARGETS: Table[ExportTarget] = Table("export target", ExportTarget, {"ctranslate2": CTranslate2, "argos": Argos})
