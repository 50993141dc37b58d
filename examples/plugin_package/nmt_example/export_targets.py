"""An export target."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmt.core.errors import UserError
from nmt.extensions.interchange.targets import ExportTarget
from nmt.translation.translator import Translator


class NumpyArrays(ExportTarget):
    """The weights as an ``.npz`` file."""

    def write(self, translator: Translator, output: Path, quantization: str | None, lines: Sequence[str]) -> list[str]:
        if quantization is not None:
            raise UserError("NumPy files hold float32 only.", "Leave out --quantization.")
        arrays = {name: tensor.float().numpy() for name, tensor in translator.model.state_dict().items()}
        with output.open("xb") as file:
            np.savez(file, **arrays)
        return [f"wrote {output}: {len(arrays)} arrays"]
