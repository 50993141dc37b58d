"""Weights on the disk: safetensors files, never half-written and never pickled."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nmt.errors import UserError
from nmt.files import sync


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters by name, shared ones once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file under a temporary name and rename it, so that a reader never sees half of it."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, temporary)
        sync(temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from None


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what :func:`save_weights` wrote into a model of the same shape.

    Raises:
        UserError: the file is missing, damaged, or belongs to another model.
    """
    stored = read_tensors(path)
    parameters = dict(model.named_parameters())
    wrong = sorted(parameters.keys() ^ stored.keys()) or [
        name for name, p in parameters.items() if p.shape != stored[name].shape
    ]
    if wrong:
        raise UserError(
            f"{path} holds the weights of another model: {wrong[0]!r} doesn't fit the recipe ({len(wrong)} in all).",
            "recipe.yaml and the weights must come from the same training run.",
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[name])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file; raises UserError where it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"There is no {path}.", "The model directory is incomplete: train it first.") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is damaged: {error}.",
            "Copy it again; if it is in a checkpoint, delete that folder to resume from the one before.",
        ) from None


def cannot_write(path: Path, error: Exception) -> UserError:
    """The message for a full disk or a folder that isn't writable."""
    number = re.search(r"\(os error (\d+)\)", str(error))  # safetensors wraps the system's error in its own words
    reason = os.strerror(int(number[1])) if number else getattr(error, "strerror", None) or str(error)
    return UserError(
        f"{path} can't be written: {reason}.",
        "Free some space or choose another folder with -o; the last checkpoint is intact, so go on with --resume.",
    )
