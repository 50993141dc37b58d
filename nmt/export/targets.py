"""Export targets: the formats of other programs in which ``nmt export`` writes a model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from nmt.core.errors import UserError
from nmt.export.argos import export_argos
from nmt.export.ct2 import Quantization, export
from nmt.export.huggingface import USAGE, export_huggingface
from nmt.export.onnx import OnnxModel, export_onnx
from nmt.export.run import check, usage
from nmt.export.web import export_web
from nmt.recipe.registry import Table
from nmt.translation.translator import Translator


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


class Onnx(ExportTarget):
    """A folder for :mod:`nmt.runtime`, which needs onnxruntime and no PyTorch."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        export_onnx(translator, output, quantization)
        agreement = check(output, translator, lines, quantization is None, OnnxModel(output))
        return [
            f"wrote {output}: {agreement}",
            "Without PyTorch (pip install onnxruntime sentencepiece):\n",
            f"python {output / 'translate.py'} < source > target",
        ]


class Web(ExportTarget):
    """A folder of static files that translates in the browser."""

    default_quantization = "int8"

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        export_web(translator, output, quantization)
        agreement = check(output, translator, lines, quantization is None, OnnxModel(output))
        return [
            f"wrote {output}: {agreement}",
            "Serve it with any web server, and open http://localhost:8000:\n",
            f"python -m http.server --directory {output}",
        ]


class Argos(ExportTarget):
    """A package for Argos Translate and LibreTranslate."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        path, agreement = export_argos(translator, output, quantization, lines)
        return [f"wrote {path}: {agreement}"]


class HuggingFace(ExportTarget):
    """A folder for ``transformers``."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        if quantization is not None:
            raise UserError("A folder for transformers has float32 weights.", "Leave out --quantization.")
        family = export_huggingface(translator, output)
        return [f"wrote {output}: {family.model_class}", "In Python:\n", USAGE.format(directory=str(output))]


EXPORT_TARGETS: Table[ExportTarget] = Table(
    "export target",
    ExportTarget,
    {"ctranslate2": CTranslate2, "argos": Argos, "onnx": Onnx, "web": Web, "huggingface": HuggingFace},
)
