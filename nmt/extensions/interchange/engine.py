"""CTranslate2 as the engine of a search."""

from collections.abc import Sequence
from pathlib import Path

from nmt.core.errors import UserError
from nmt.extensions.interchange.run import exported_translator
from nmt.extensions.interchange.targets import Quantization
from nmt.translation.load import Engine, load
from nmt.translation.translator import Translator

QUANTIZATIONS: dict[str, Quantization | None] = {
    "fp32": None, "auto": None, "bf16": "bfloat16", "fp16": "float16", "int8": "int8",
}  # fmt: skip
"""Names of the precisions in CTranslate2."""


class CTranslate2Engine(Engine):
    """Exports a Transformer for this run, and searches with CTranslate2."""

    def load(
        self, model_dir: str | Path, device: str = "auto", precision: str = "fp32", ensemble: Sequence[str | Path] = ()
    ) -> Translator:
        if ensemble:
            raise UserError("CTranslate2 searches with one model.", "Remove --ensemble or --engine.")
        return exported_translator(load(model_dir, "cpu"), None, QUANTIZATIONS[precision])
