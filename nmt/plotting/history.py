"""History of a training run, read from metrics.jsonl and the files beside it."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.jsonlines import parse_object
from nmt.core.model_directory import ModelDirectory
from nmt.metrics.table import LOSS, METRICS, higher_is_better
from nmt.recipe.load import read_yaml

MAX_FIGURE = 1e39
"""Larger figures are no output of a run, whose tensors have at most 32 bits, and sums of them could overflow."""


@dataclass(frozen=True)
class History:
    """The events of one run, oldest first."""

    directory: Path
    events: dict[str, list[dict[str, Any]]]

    def series(self, event: str, figure: str, x: str = "step") -> tuple[list[float], list[float]]:
        """Returns a figure of an event over the updates (``step``) or ``seconds``, where it is a number."""
        points = [
            (float(line[x]), float(line[figure]))
            for line in self.events.get(event, [])
            if isinstance(line.get(figure), (int, float))
        ]
        return [a for a, _ in points], [b for _, b in points]

    @property
    def metrics(self) -> list[str]:
        """Metrics of the validations."""
        return [name for name in METRICS if self.series("valid", name)[1]]

    def summary(self) -> dict[str, Any]:
        """Returns the figures of ``nmt inspect run --json``; None for those that the log lacks.

        Losses are without label smoothing. Speed is the median over the lines of the log, padding and waiting are
        means. The best validation loss and the best score of each metric are there under their names, and the updates
        that they were found at as ``NAME_step``. Scores of a plugin's metric that isn't loaded are left out, with a
        warning.
        """
        recipe = _recipe(self.directory)
        training = recipe.get("training")
        selected_by = training.get("metric") if isinstance(training, dict) else None
        if selected_by is not None and selected_by not in (LOSS, *METRICS):
            warn(
                f"{self.directory} was selected by the metric {selected_by!r}, which no loaded plugin has: its scores "
                "are left out. Name the plugin of the metric: --plugin MODULE."
            )
        lines = [line for event in self.events.values() for line in event]
        names = ("loss", "tokens_per_second", "padding", "waiting_for_data", "peak_memory_mb")
        losses, speeds, padding, waiting, memory = (self.series("train", name)[1] for name in names)
        found = {
            "directory": str(self.directory),
            "description": str(recipe.get("description") or "") or None,
            "parameters": _count_parameters(self.directory),
            "updates": max(line["step"] for line in lines),
            "epochs": int(max(self.series("epoch", "epoch")[1], default=0)),
            "minutes": round(max(line["seconds"] for line in lines) / 60, 2),
            "training_loss": losses[-1] if losses else None,
            "best_training_loss": min(losses, default=None),
            "tokens_per_second": statistics.median(speeds) if speeds else None,
            "padding": round(statistics.fmean(padding), 5) if padding else None,
            "waiting_for_data": round(statistics.fmean(waiting), 5) if waiting else None,
            "peak_memory_mb": int(max(memory)) if memory else None,
            "ended": self.events.get("end", [{}])[-1].get("reason"),  # None while it runs, or where it was killed
        }
        measured = {name: (name, max if higher_is_better(name) else min) for name in self.metrics}
        loss_at = dict(zip(*self.series("valid", "loss"), strict=True))
        for name, (figure, best) in ({"validation_loss": ("loss", min)} | measured).items():
            steps, values = self.series("valid", figure)
            found[name] = best(values, default=None)
            equal = [step for step, value in zip(steps, values, strict=True) if value == found[name]]
            # As in training, the loss decides between equal scores.
            found[f"{name}_step"] = int(min(equal, key=lambda step: loss_at.get(step, math.inf))) if equal else None
        return found


def read_history(directory: Path) -> History:
    """Reads the events of a model directory.

    Lines that aren't whole (a run that was killed while it wrote) are left out, with a warning.

    Raises:
        UserError: there is no log, or nothing in it.
    """
    path = ModelDirectory(directory).metrics
    ModelDirectory(directory).check_files()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(
            f"{path} can't be read: {error.strerror}.", "Name the folder of a training run, which `nmt train` wrote."
        ) from None
    events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    damaged = []
    for number, content in enumerate(text.splitlines(), start=1):
        try:
            line = parse_object(content)
            numbers = [value for value in line.values() if isinstance(value, int | float)]
            if not all(abs(value) < MAX_FIGURE for value in numbers):
                raise ValueError
            event = line | {"step": int(line["step"]), "seconds": float(line["seconds"])}
            events[str(line["event"])].append(event)
        except (ValueError, TypeError, KeyError):
            damaged.append(number)
    if damaged:
        lines = f"{len(damaged)} line{'s' * (len(damaged) > 1)}"
        warn(f"{path}: left out {lines} that can't be read as events, the first on line {damaged[0]}.")
    if not events:
        if damaged:
            raise UserError(f"{path} holds no line that can be read as an event.", "Copy it from the run again.")
        raise UserError(f"{path} holds no events yet.", "Wait for the first line of a run (training.log_every).")
    return History(directory, dict(events))


def read_histories(directories: Sequence[Path]) -> list[History]:
    """Reads the events of several directories. One without a log is skipped with a warning, unless none has one."""
    found: list[History] = []
    missing: list[UserError] = []
    for directory in directories:
        try:
            found.append(read_history(directory))
        except UserError as error:
            missing.append(error)
    if not found:
        raise missing[0]
    for reason in missing:
        warn(reason.message)
    return found


def short_names(directories: Sequence[Path]) -> list[str]:
    """Returns the shortest ends of the paths that differ."""
    parts = [directory.resolve().parts for directory in directories]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _recipe(directory: Path) -> dict[str, Any]:
    """Returns the recipe of a model directory; nothing where it can't be read."""
    try:
        return read_yaml(ModelDirectory(directory).recipe)
    except UserError:
        return {}


def _count_parameters(directory: Path) -> int | None:
    """Returns the number of parameters in the weights file, from the shapes in its header."""
    try:
        with safe_open(ModelDirectory(directory).weights, "numpy") as file:
            shapes: list[list[int]] = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
            return sum(map(math.prod, shapes))
    except (OSError, SafetensorError):
        return None
