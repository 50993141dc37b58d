"""The weights of model directories, which of them differ, and files with weights that are not finite."""

from pathlib import Path

import torch
from torch import Tensor

from nmt.models.weights import read_tensors, save_weights


def weights(directory: Path) -> dict[str, Tensor]:
    return read_tensors(directory / "model.safetensors")


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def spoil(path: Path, group: str = "", value: float = torch.nan) -> str:
    """Puts a value into a tensor of a file; returns the tensor's name."""
    tensors = {name: tensor.clone() for name, tensor in read_tensors(path).items()}
    name = next(name for name in sorted(tensors) if name.startswith(group))
    tensors[name].view(-1)[0] = value
    save_weights(tensors, path)
    return name.removeprefix(f"{group}/")
