"""The weights of model directories, and which of them differ."""

from pathlib import Path

import torch
from torch import Tensor

from nmt.models.weights import read_tensors


def weights(directory: Path) -> dict[str, Tensor]:
    return read_tensors(directory / "model.safetensors")


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}
