"""Checkpoints, which contain the complete state of a run, written atomically and without pickle."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.files import explained, move, remove_folder, replacing, sha256, sync
from nmt.core.jsonlines import read_object
from nmt.core.model_directory import ModelDirectory
from nmt.models.weights import check_finite, load_weights, read_tensors, write_tensors

SUMS = "SHA256SUMS"
"""File of a checkpoint with the digests of the others, in the format of ``sha256sum --check``."""


class CheckpointFolder:
    """``checkpoints/step-NNNNNN/``: weights.safetensors, training.safetensors, state.json and SHA256SUMS.

    ``keep_last`` of the newest stay, and beside them ``keep_best`` of the best by validation.
    """

    def __init__(self, directory: Path, keep_last: int = 2, keep_best: int = 1) -> None:
        self._folder = ModelDirectory(directory).checkpoints
        self._keep_last, self._keep_best = keep_last, keep_best

    def all(self) -> list[Path]:
        """Returns the complete checkpoints, oldest first."""
        complete = [p for p in self._folder.glob("step-*") if (p / "state.json").is_file() or (p / SUMS).is_file()]
        return sorted((path for path in complete if path.name.removeprefix("step-").isdecimal()), key=step_of)

    def best(self) -> list[Path]:
        """Returns those validated on the text of the newest, best first; ties: lowest loss first, then oldest."""
        states = {path: read_state(path) for path in self.all()}
        text = next(filter(None, (state.get("validated_on") for state in reversed(states.values()))), None)
        comparable = {path: state for path, state in states.items() if state.get("validated_on", text) == text}
        ranked = [(rank, path) for path, state in comparable.items() if (rank := _rank(state)) is not None]
        return [path for _, path in sorted(ranked, key=lambda pair: (pair[0], step_of(pair[1])))]

    def at(self, step: int) -> Path:
        """Returns the path of the checkpoint of a step."""
        return self._folder / f"step-{step:06d}"

    def save(
        self, step: int, weights: Mapping[str, Tensor], tensors: Mapping[str, Mapping[str, Tensor]], state: Any
    ) -> Path:
        """Writes a checkpoint, and deletes those that are neither among the newest nor the best.

        Args:
            tensors: all others of the training state, by group and name.
            state: the rest of it; must be JSON. ``state["validation"]`` ranks the checkpoint (see
                :meth:`nmt.training.validation.Validation.figures`), and one with ``state["keep"]`` is not deleted.
        """
        final = self.at(step)
        # The same update, saved once more: never a moment without a complete checkpoint of it.
        path = self._folder / f"newer-{step:06d}" if final.exists() else final
        remedy = "Free some space or fix the permissions, and go on with --resume."
        with replacing(path, remedy) as temporary, explained(final, remedy):
            temporary.mkdir(parents=True)
            write_tensors(weights, temporary / "weights.safetensors")
            flat = {f"{group}/{name}": tensor for group in tensors for name, tensor in tensors[group].items()}
            write_tensors(flat, temporary / "training.safetensors")
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
            sums = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
            (temporary / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        self.tidy()
        self._prune()
        return final

    def _prune(self) -> None:
        """Deletes the checkpoints that are neither to be kept nor among the newest or the best."""
        kept = {*self.all()[-self._keep_last :], *self.best()[: self._keep_best], *self.before_fall()}
        for path in {*self.all()} - kept:
            remove_folder(path)

    def before_fall(self) -> list[Path]:
        """Returns the checkpoints from which the learning rate falls, oldest first: longer training starts from one."""
        return [path for path in self.all() if read_state(path).get("keep")]

    def remove_after(self, step: int) -> None:
        """Deletes the checkpoints of later updates."""
        for path in self.all():
            if step_of(path) > step:
                remove_folder(path)

    def tidy(self) -> None:
        """Renames a checkpoint that was saved again."""
        for newer in self._folder.glob("newer-*"):
            final = newer.with_name(newer.name.replace("newer", "step", 1))
            remove_folder(final)
            with explained(final):
                move(newer, final)
                sync(self._folder)

    def newest_intact(self) -> Path | None:
        """The checkpoint to resume from; None where there is none at all. What a killed process would have deleted
        after writing it is deleted.

        Damaged ones are reported, passed over and renamed to ``damaged-NNNNNN``, so that they aren't counted any more.

        Raises:
            UserError: all of them are damaged.
        """
        self.tidy()
        checkpoints = self.all()
        damaged: list[Path] = []
        for checkpoint in reversed(checkpoints):
            if not (wrong := damage(checkpoint)):
                for path in damaged:
                    aside = path.with_name(path.name.replace("step", "damaged", 1))
                    remove_folder(aside)
                    move(path, aside)
                self._prune()
                return checkpoint
            warn(f"{checkpoint} is damaged ({wrong}): going back to the checkpoint before it.")
            damaged.append(checkpoint)
        if checkpoints:
            raise UserError(
                f"Every checkpoint in {self._folder} is damaged: the run can't go on.",
                "Bring one back from a backup, or train anew in another folder (-o). Check the disk, too; "
                "model.safetensors may still be good for `nmt translate`.",
            )
        return None

    @staticmethod
    def load(path: Path, model: nn.Module) -> tuple[defaultdict[str, dict[str, Tensor]], Any]:
        """Loads a checkpoint's weights into the model; returns the other tensors by group and name, and the state."""
        load_weights(model, path / "weights.safetensors")
        try:
            return training_tensors(path), read_object(path / "state.json", finite=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path / 'state.json'} is damaged: {error}.", f"Delete {path} to resume from the one before."
            ) from None


def training_tensors(checkpoint: Path) -> defaultdict[str, dict[str, Tensor]]:
    """Returns the tensors of a checkpoint besides the weights, by group and name; missing groups are empty.

    Raises:
        UserError: the file is missing or damaged, or a weight of the average or of LoRA is not finite.
    """
    path = checkpoint / "training.safetensors"
    groups: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in read_tensors(path).items():
        group, _, name = key.partition("/")
        groups[group][name] = tensor
    for group in ("average", "lora"):
        check_finite(groups[group], path)
    return groups


def damage(checkpoint: Path) -> str:
    """Describes damage of the files of a checkpoint; empty if they are intact.

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
            if sha256(checkpoint / name) != digests.get(name):
                return f"{name} is not what was written"
    except (OSError, ValueError) as error:
        return f"{getattr(error, 'filename', None) or SUMS} can't be read"
    return ""


def step_of(checkpoint: Path) -> int:
    """Returns the number of updates of a checkpoint."""
    return int(checkpoint.name.removeprefix("step-"))


def _rank(state: Mapping[str, Any]) -> tuple[float, float] | None:
    """Returns the validation figure of a checkpoint, negated if higher is better, and its loss."""
    try:
        measured = state["validation"]
        value, loss = float(measured["value"]), measured.get("loss")
        return -value if measured["higher_is_better"] else value, math.inf if loss is None else loss
    except (ValueError, KeyError, TypeError):  # damaged, or there was no validation
        return None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Returns the state of a checkpoint; empty if it is damaged."""
    try:
        return read_object(checkpoint / "state.json", finite=False)
    except (OSError, ValueError):
        return {}
