"""Weights on the disk: safetensors files, never half-written and never pickled."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nmt.core.errors import UserError
from nmt.core.files import explained, replacing

LARGE = 1 << 28
"""Bytes of a file from which on parameters are views of it. Copies are aligned as fresh parameters are, so that the
last bits of what a small model computes don't depend on where its weights come from."""


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters by name, shared ones once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file; a reader never sees half of it. Raises UserError if it can't be written."""
    with replacing(path) as temporary, explained(path):
        write_tensors(weights, temporary)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file where nobody reads yet, with texts that its header gets. Raises OSError if it can't be
    written."""
    # save_file would write under a temporary name of its own, which a kill leaves behind, readable by its owner alone.
    path.write_bytes(save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, metadata))


def check_size(path: Path, num_parameters: int | None) -> None:
    """Refuse a file that is too small for a model, before memory is taken for it. Raises UserError if it has fewer
    bytes than the model has parameters."""
    num_bytes = path.stat().st_size if path.is_file() else None  # reading it has the message for one that is missing
    if num_bytes is not None and num_bytes < (num_parameters or 0):
        raise UserError(
            f"{path} holds the weights of another model: {num_bytes:,} bytes for {num_parameters:,} parameters.",
            "recipe.yaml and the weights must come from the same training run.",
        )


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what :func:`save_weights` wrote into a model of the same shape.

    The parameters of a large model on the CPU become views of the file, so that it isn't in memory twice. They can be
    changed, and the file stays as it is. Raises UserError if the file is missing, damaged, or belongs to another model.
    """
    stored = read_weights(path)
    parameters = dict(model.named_parameters())
    wrong = sorted(parameters.keys() ^ stored.keys()) or [
        name for name, p in parameters.items() if p.shape != stored[name].shape
    ]
    if wrong:
        raise UserError(
            f"{path} holds the weights of another model: {wrong[0]!r} doesn't fit the recipe ({len(wrong)} in all).",
            "recipe.yaml and the weights must come from the same training run.",
        )
    is_large = path.stat().st_size >= LARGE and os.name != "nt"  # Windows couldn't replace a file that is in use
    with torch.no_grad():
        for name, parameter in parameters.items():
            if is_large and parameter.dtype == stored[name].dtype and parameter.device.type == "cpu":
                parameter.data = stored[name]
            else:
                parameter.copy_(stored[name])


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises UserError if it is missing or damaged, or a number is not
    finite."""
    weights = read_tensors(path)
    check_finite(weights, path)
    return weights


def check_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights with NaN or infinity. Raises UserError if there are any; it names ``path``, from which they were
    read, and a tensor."""
    broken = [name for name, tensor in weights.items() if not _is_finite(tensor)]
    if broken:
        raise UserError(
            f"{path} holds numbers that are not finite floats, in {broken[0]!r} ({len(broken)} of {len(weights)}).",
            "The run has diverged, or the file is damaged or quantised: use another checkpoint, or train again.",
        )


def _is_finite(tensor: Tensor) -> bool:
    """Returns whether all numbers are finite, without the temporary tensors of ``isfinite``: NaN is both ends."""
    is_known = tensor.is_floating_point() and tensor.itemsize > 1  # not quantised, nor complex
    return is_known and (not tensor.numel() or all(bool(end.isfinite()) for end in tensor.aminmax()))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file; raises UserError where it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"There is no {path}.", "Let training go on (--resume), or copy the whole folder.") from None
    except MemoryError:
        raise UserError(
            f"{path} has {path.stat().st_size:,} bytes, for which memory doesn't suffice.",
            "Copy it again if it should be smaller; otherwise allow more memory (`ulimit -v`).",
        ) from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is damaged: {error}.",
            "Copy it again; if it is in a checkpoint, delete that folder to resume from the one before.",
        ) from None
