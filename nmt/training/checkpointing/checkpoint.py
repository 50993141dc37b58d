"""Checkpoints: all that the rest of a run depends on, never half-written and never pickled."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nmt.errors import UserError
from nmt.files import explained, remove_folder, remove_unfinished, replacing, sync
from nmt.models.weights import load_weights, read_tensors, write_tensors

SUMS = "SHA256SUMS"
"""The file of a checkpoint with the digests of the others, in the form that ``sha256sum --check`` reads."""


class CheckpointFolder:
    """``checkpoints/step-NNNNNN/``: weights.safetensors, training.safetensors, state.json and SHA256SUMS.

    Args:
        directory: the model directory.
        keep_last: how many of the newest stay.
        keep_best: how many of the best by validation stay beside them.
    """

    def __init__(self, directory: Path, keep_last: int = 2, keep_best: int = 1) -> None:
        self._folder = directory / "checkpoints"
        self._keep_last, self._keep_best = keep_last, keep_best

    def all(self) -> list[Path]:
        """Complete checkpoints, the oldest first."""
        found = [p for p in self._folder.glob("step-*") if (p / "state.json").is_file() or (p / SUMS).is_file()]
        return sorted((path for path in found if path.name.removeprefix("step-").isdecimal()), key=step_of)

    def best(self) -> list[Path]:
        """Those that were validated, the best first; of equals the older."""
        measured = [(metric, path) for path in self.all() if (metric := _metric(path)) is not None]
        return [path for _, path in sorted(measured, key=lambda pair: (-pair[0], step_of(pair[1])))]

    def at(self, step: int) -> Path:
        """Where the checkpoint of a step is, or would be."""
        return self._folder / f"step-{step:06d}"

    def save(self, step: int, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], state: Any) -> Path:
        """Write a checkpoint beside the others, and delete those that are neither among the newest nor the best.

        Args:
            step: number of updates.
            weights: of the model.
            tensors: all other tensors of the training state.
            state: the rest of it; must be JSON. ``state["validation"]`` ranks the checkpoint (see
                :meth:`nmt.training.validation.Validation.figures`).
        """
        final = self.at(step)
        self.tidy()
        with explained(final):
            self._folder.mkdir(parents=True, exist_ok=True)
        # The same update, saved once more: never a moment without a complete checkpoint of it.
        with replacing(self._newer(step) if final.exists() else final) as temporary, explained(final):
            temporary.mkdir()
            write_tensors(weights, temporary / "weights.safetensors")
            write_tensors(tensors, temporary / "training.safetensors")
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
            sums = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
            (temporary / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        self.tidy()
        kept = {*self.all()[-self._keep_last :], *self.best()[: self._keep_best]}
        for path in self.all():
            if path not in kept:
                remove_folder(path)
        return final

    def _newer(self, step: int) -> Path:
        return self._folder / f"newer-{step:06d}"

    def tidy(self) -> None:
        """Remove what a killed process has left, and give a checkpoint that was saved once more its name."""
        remove_unfinished(self._folder)
        for newer in self._folder.glob("newer-*"):
            final = newer.with_name(newer.name.replace("newer", "step", 1))
            remove_folder(final)
            with explained(final):
                os.replace(newer, final)
                sync(self._folder)

    def set_aside(self, checkpoint: Path) -> None:
        """Rename a damaged checkpoint to ``damaged-NNNNNN``, so that it is neither used again nor counted."""
        aside = checkpoint.with_name(checkpoint.name.replace("step", "damaged", 1))
        remove_folder(aside)
        os.replace(checkpoint, aside)

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


def damage(checkpoint: Path) -> str:
    """What is wrong with the files of a checkpoint; empty where they are as they were written.

    One whose SHA256SUMS was deleted is taken as it is.
    """
    sums = checkpoint / SUMS
    try:
        if not sums.exists():
            return ""
        digests = {name: digest for digest, name in (line.split("  ", 1) for line in sums.read_text().splitlines())}
        for name in ("state.json", "training.safetensors", "weights.safetensors"):
            if not (checkpoint / name).exists():
                return f"{name} is missing"
            if _digest(checkpoint / name) != digests.get(name):
                return f"{name} is not what was written"
    except (OSError, ValueError) as error:
        return f"{getattr(error, 'filename', None) or SUMS} can't be read"
    return ""


def step_of(checkpoint: Path) -> int:
    """The number of updates after which a checkpoint was taken."""
    return int(checkpoint.name.removeprefix("step-"))


def _metric(checkpoint: Path) -> float | None:
    """The validation figure that ranks a checkpoint, with its sign changed where lower is better."""
    try:
        measured = json.loads((checkpoint / "state.json").read_text("utf-8")).get("validation")
    except (OSError, ValueError):
        return None
    value = (measured or {}).get("value")
    if value is None:  # not validated, or by a version that wrote other keys
        return None
    return float(value if measured["higher_is_better"] else -value)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
