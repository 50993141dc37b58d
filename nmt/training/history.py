"""What a training run wrote down, read back: metrics.jsonl and what stands beside it."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

from nmt import yaml12
from nmt.console import warn
from nmt.errors import UserError
from nmt.evaluation.metrics import METRICS, higher_is_better
from nmt.model_directory import ModelDirectory


@dataclass(frozen=True)
class Summary:
    """A run in figures; None where the log doesn't tell."""

    directory: str
    description: str | None
    parameters: int | None
    """Numbers in model.safetensors, shared ones once."""
    updates: int
    epochs: int
    minutes: float
    training_loss: float | None
    """Of the last line of the log; with label smoothing it has a floor above zero, so compare like with like."""
    best_training_loss: float | None
    validation_loss: float | None
    """The lowest."""
    validation_loss_step: int | None
    scores: dict[str, tuple[float | None, int | None]]
    """The best score of each metric of the validations, and the update that it was found at."""
    tokens_per_second: float | None
    """Median over the lines of the log."""
    padding: float | None
    """Mean share of positions."""
    waiting_for_data: float | None
    """Mean share of time."""
    peak_memory_mb: int | None
    ended: str | None
    """The reason; None while it runs, or where it was killed."""

    def to_json(self) -> dict[str, Any]:
        """Each metric is a key of its own, with ``NAME_step`` beside it."""
        shown = asdict(self)
        for name, (score, step) in shown.pop("scores").items():
            shown |= {name: score, f"{name}_step": step}
        return shown


@dataclass(frozen=True)
class History:
    """The events of one run, oldest first."""

    directory: Path
    events: dict[str, list[dict[str, Any]]]

    def series(self, event: str, figure: str, x: str = "step") -> tuple[list[float], list[float]]:
        """A figure of an event over the updates (``step``) or ``seconds``, where it is a number."""
        points = [
            (float(line[x]), float(line[figure]))
            for line in self.events.get(event, [])
            if isinstance(line.get(figure), (int, float))
        ]
        return [a for a, _ in points], [b for _, b in points]

    @property
    def metrics(self) -> list[str]:
        """The metrics of the table that the validations have."""
        return [name for name in METRICS if self.series("valid", name)[1]]

    def summary(self) -> Summary:
        lines = [line for event in self.events.values() for line in event]
        epochs = [int(line["epoch"]) for line in self.events.get("epoch", []) if isinstance(line.get("epoch"), int)]
        losses = self.series("train", "loss")[1]
        speeds = self.series("train", "tokens_per_second")[1]
        memory = self.series("train", "peak_memory_mb")[1]
        validation_loss, validation_loss_step = _best(*self.series("valid", "loss"), min)
        directions = {name: max if higher_is_better(name) else min for name in self.metrics}
        ends = self.events.get("end", [])
        return Summary(
            directory=str(self.directory),
            description=_description(self.directory),
            parameters=_count_parameters(self.directory / "model.safetensors"),
            updates=max(int(line["step"]) for line in lines),
            epochs=max(epochs, default=0),
            minutes=round(max(float(line["seconds"]) for line in lines) / 60, 2),
            training_loss=losses[-1] if losses else None,
            best_training_loss=min(losses, default=None),
            validation_loss=validation_loss,
            validation_loss_step=validation_loss_step,
            scores={name: _best(*self.series("valid", name), best) for name, best in directions.items()},
            tokens_per_second=statistics.median(speeds) if speeds else None,
            padding=_mean(self.series("train", "padding")[1]),
            waiting_for_data=_mean(self.series("train", "waiting_for_data")[1]),
            peak_memory_mb=int(max(memory)) if memory else None,
            ended=str(ends[-1].get("reason")) if ends else None,
        )


def read_history(directory: Path) -> History:
    """The events of a model directory.

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
        line = _parse(content)
        if line is None:
            damaged.append(number)
        else:
            events[line["event"]].append(line)
    if damaged:
        warn(f"{path}: left out {_lines(damaged)}, which can't be read as an event.")
    if not any(events.values()):
        raise UserError(f"{path} holds no events yet.", "Wait for the first line of a run (training.log_every).")
    return History(directory, dict(events))


def read_histories(directories: Sequence[Path]) -> list[History]:
    """Those of several directories. One that has no log is left out with a warning, unless it is the only one."""
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
    """The ends of the paths, as many folders of each as tell them apart."""
    parts = [directory.resolve().parts for directory in directories]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _parse(content: str) -> dict[str, Any] | None:
    """An event, or None for what isn't one."""
    try:
        line = json.loads(content)
    except ValueError:
        return None
    whole = (
        isinstance(line, dict)
        and isinstance(line.get("event"), str)
        and isinstance(line.get("step"), int)
        and isinstance(line.get("seconds"), (int, float))
    )
    return line if whole else None


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{' …' if len(numbers) > 5 else ''}"


def _description(directory: Path) -> str | None:
    try:
        recipe = yaml12.load(ModelDirectory(directory).recipe.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return str(recipe["description"]) if isinstance(recipe, dict) and recipe.get("description") else None


def _count_parameters(path: Path) -> int | None:
    """From the shapes at the head of the file; the weights themselves stay on disk."""
    try:
        with safe_open(path, "numpy") as file:
            names = file.keys()
            shapes: list[list[int]] = [file.get_slice(name).get_shape() for name in names]
    except (OSError, SafetensorError):
        return None
    return sum(math.prod(shape) for shape in shapes)


def _best(steps: Sequence[float], values: Sequence[float], better: Any) -> tuple[float | None, int | None]:
    if not values:
        return None, None
    best = better(values)
    return best, int(steps[values.index(best)])


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 5) if values else None
