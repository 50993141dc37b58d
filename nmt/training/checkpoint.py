"""Saving and loading: weights and training states, never half-written and never pickled."""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nmt.errors import UserError


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters by name, shared ones once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file under a temporary name and rename it, so that a reader never sees half of it."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, temporary)
        _flush(temporary)
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
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(
        f"{path} can't be written: {reason}.",
        "Free some space or choose another folder with -o; the last checkpoint is intact, so go on with --resume.",
    )


def _flush(path: Path) -> None:
    """Have the system write a file to disk: a rename must not come before the content."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


class CheckpointFolder:
    """``checkpoints/step-NNNNNN/``: weights.safetensors, training.safetensors and state.json.

    Args:
        directory: the model directory.
        keep_last: how many checkpoints stay.
    """

    def __init__(self, directory: Path, keep_last: int = 2) -> None:
        self._folder = directory / "checkpoints"
        self._keep = keep_last

    def all(self) -> list[Path]:
        """Complete checkpoints, the oldest first."""
        found = [path for path in self._folder.glob("step-*") if (path / "state.json").is_file()]
        return sorted((path for path in found if path.name.removeprefix("step-").isdecimal()), key=step_of)

    def save(self, step: int, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], state: Any) -> Path:
        """Write a checkpoint beside the others, and delete the oldest ones.

        Args:
            step: number of updates.
            weights: of the model.
            tensors: all other tensors of the training state.
            state: the rest of it; must be JSON.
        """
        final = self._folder / f"step-{step:06d}"
        for unfinished in self._folder.glob("writing-*"):  # left by a run that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        temporary = self._folder / f"writing-{step:06d}"
        try:
            temporary.mkdir(parents=True)
            save_weights(weights, temporary / "weights.safetensors")
            save_weights(tensors, temporary / "training.safetensors")
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
            _flush(temporary / "state.json")
            if final.exists():
                shutil.rmtree(final)
            os.replace(temporary, final)
        except OSError as error:
            raise cannot_write(final, error) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for old in self.all()[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    @staticmethod
    def load(path: Path, model: nn.Module) -> tuple[dict[str, Tensor], Any]:
        """Put a checkpoint's weights into the model; give the other tensors and the state."""
        load_weights(model, path / "weights.safetensors")
        tensors = read_tensors(path / "training.safetensors")
        try:
            return tensors, json.loads((path / "state.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path / 'state.json'} is damaged: {error}.", f"Delete {path} to resume from the one before."
            ) from None


def step_of(checkpoint: Path) -> int:
    """The number of updates after which a checkpoint was taken."""
    return int(checkpoint.name.removeprefix("step-"))
