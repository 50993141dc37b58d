"""The events of a training run. The trainer emits them; sinks (``sinks.py``, and ``nmt.train(on_event=…)``) take them.

def show(event):
    if isinstance(event, Validated):
        print(event.step, event.loss, event.samples[0].translation)

nmt.train("multi30k/luong", "runs/mine", on_event=show)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nmt.metrics.degenerate import DegenerateCount


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of events: the update, counted from 1, and the seconds of training."""

    name: str = ""
    """Name of its lines in ``metrics.jsonl``; empty for an event that isn't written there."""
    step: int
    seconds: float

    def figures(self) -> dict[str, Any]:
        """Returns the figures for ``metrics.jsonl`` besides name, step and seconds."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        nested = [values.pop(key) for key in list(values) if isinstance(values[key], Mapping)]
        shown = {key: value for key, value in values.items() if key not in ("name", "step", "seconds", "message")}
        return shown | {key: value for group in nested for key, value in group.items()}


Sink = Callable[[Event], None]
"""Receives the events of a run in order; called in rank 0 only."""


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A run begins, or is resumed after update ``step``; what was written about later updates no longer holds."""

    validation_due: bool = False
    """Whether the validation of ``step`` is repeated first; its earlier lines are no longer valid."""
    total_steps: int | None
    """Number of updates of the whole run, if it is known."""
    max_minutes: float | None
    expected_score: float | None = None
    """Score by the metric of the run that is shown beside the best one so far."""

    def figures(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, kw_only=True)
class Updated(Event):
    """An update is done. Figures are means since the last :class:`TrainingLoss`."""

    epoch: int
    """Number of complete passes over the data."""
    loss: float
    tokens_per_second: float
    skipped: int
    metric: str
    best: float | None
    """The best validation figure so far, by ``metric``."""


@dataclass(frozen=True, kw_only=True)
class TrainingLoss(Event):
    """Figures of the updates since the last such event; None where all of them were skipped."""

    name: str = "train"
    epoch: int
    loss: float | None
    """Mean -log p of a target token, in nats."""
    tokens_per_second: float
    """Target tokens without padding; time spent in validation and in saving doesn't count."""
    gradient_norm: float | None
    """Before clipping."""
    padding: float | None
    """Fraction of the positions."""
    waiting_for_data: float
    """Fraction of the time."""
    skipped: int
    extra: Mapping[str, float | None]
    """Extra losses and diagnostics of the model and of techniques, per target token."""
    learning_rate: float
    peak_memory_mb: int | None


@dataclass(frozen=True, kw_only=True)
class EpochEnded(Event):
    """A pass over the data is complete. ``padding``: the fraction of its positions."""

    name: str = "epoch"
    epoch: int
    padding: float


@dataclass(frozen=True, kw_only=True)
class StageBegan(Event):
    """From the next update on, batches are those of another one of ``data.stages``."""

    name: str = "stage"
    stage: str


@dataclass(frozen=True)
class Sample:
    """A validation sentence and its translation."""

    source: str
    translation: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class Validated(Event):
    """The model was measured on held-out text."""

    name: str = "valid"
    loss: float
    """Mean -log p of a target token, in nats."""
    metric: str
    """Metric that selects models."""
    score: float | None
    """Score of the translations by that metric; None if it is the loss."""
    degenerate: DegenerateCount
    best: bool
    """Whether it is the best validation so far."""
    samples: tuple[Sample, ...] = ()

    def figures(self) -> dict[str, Any]:
        scores: dict[str, Any] = {}
        if self.score is not None:
            scores = {self.metric: round(self.score, 4), "degenerate": round(self.degenerate.share, 4)}
        return {"loss": round(self.loss, 4), **scores, "best": self.best}


@dataclass(frozen=True, kw_only=True)
class Observed(Event):
    """One of ``training.observers`` has recorded something at a validation; a line of ``OBSERVER.jsonl``."""

    observer: str
    values: Mapping[str, Any]

    def figures(self) -> dict[str, Any]:
        return dict(self.values)


@dataclass(frozen=True, kw_only=True)
class Saved(Event):
    """A checkpoint was written."""

    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """A warning; without a message if it is only logged.

    Names: ``skip``, an update was left out because its loss or gradient isn't finite; ``out_of_memory``, a batch didn't
    fit and is split in two; ``diverged``, the training loss has been far above its lowest value for long.
    """

    message: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the event in ``metrics.jsonl``."""


@dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """The run is over."""

    name: str = "end"
    reason: str
