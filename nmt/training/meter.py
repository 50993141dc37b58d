"""Figures of a run, such as loss, speed and padding, and the detection of divergence."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

HORIZON = 100
"""Number of updates over which the loss is averaged."""

RISE = 1.0
"""Rise above the lowest loss, in nats per token, that counts as divergence: e times the perplexity."""

LONG = 200
"""Number of consecutive updates above the threshold before a warning."""


@dataclass
class Update:
    """Figures of an update, and on an accelerator a tensor of those that haven't been read."""

    step: int
    epoch: int
    tokens: int
    positions: int
    padding: int
    figures: Tensor = field(default_factory=lambda: torch.empty(0))
    """Norm of the gradient, summed -log p of the target, and the extra losses."""
    names: Sequence[str] = ()
    """Names of the extra losses."""


@dataclass
class Meter:
    """Accumulates the figures of a run. Its state is part of a checkpoint: metrics continue after a resume.

    Sums are since the last line of the log; those named ``epoch_…`` since the beginning of the epoch.
    """

    nll: float = 0.0
    tokens: int = 0
    positions: int = 0
    padding: int = 0
    gradient_norm: float = 0.0
    updates: int = 0
    skipped: int = 0
    waiting_seconds: float = 0.0
    epoch_positions: int = 0
    epoch_padding: int = 0
    extra: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def count(self, update: Update, loss: float, gradient_norm: float, extra: Mapping[str, float] = {}) -> None:
        """Adds an update: the mean -log p of a target token, and the extra losses, summed over its batches, by name."""
        self.nll += loss * update.tokens
        self.tokens += update.tokens
        self.positions += update.positions
        self.padding += update.padding
        self.gradient_norm += gradient_norm
        self.updates += 1
        self.epoch_positions += update.positions
        self.epoch_padding += update.padding
        for name, summed in extra.items():
            self.extra[name] = self.extra.get(name, 0.0) + summed

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Excludes validation and saving from the tokens per second."""
        began = time.perf_counter()
        yield
        self.started += time.perf_counter() - began

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time inside this context as waiting for data."""
        began = time.perf_counter()
        yield
        self.waiting_seconds += time.perf_counter() - began

    @property
    def loss(self) -> float | None:
        """Mean -log p of the tokens since the last :meth:`take`; None before the first."""
        return self.nll / self.tokens if self.tokens else None

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(time.perf_counter() - self.started, 1e-9)

    def take(self) -> dict[str, Any]:
        """Returns the figures of a :class:`TrainingLoss` event and resets them; empty if nothing was counted."""
        elapsed, trained = time.perf_counter() - self.started, self.updates > 0
        figures = {
            "loss": round(self.nll / self.tokens, 4) if trained else None,
            "tokens_per_second": round(self.tokens / elapsed, 1),
            "gradient_norm": round(self.gradient_norm / self.updates, 4) if trained else None,
            "padding": round(self.padding / self.positions, 5) if trained else None,
            "waiting_for_data": round(self.waiting_seconds / elapsed, 5),
            "skipped": self.skipped,
            "extra": {name: round(loss / self.tokens, 5) if trained else None for name, loss in self.extra.items()},
        }
        has_figures = trained or self.skipped > 0
        vars(self).update(vars(Meter(epoch_positions=self.epoch_positions, epoch_padding=self.epoch_padding)))
        return figures if has_figures else {}

    def end_epoch(self) -> float:
        """Returns the fraction of padding of the epoch that ends."""
        fraction = self.epoch_padding / max(self.epoch_positions, 1)
        self.epoch_padding = self.epoch_positions = 0
        return fraction

    def state_dict(self) -> dict[str, Any]:
        state = asdict(self)
        return state | {"elapsed": time.perf_counter() - state.pop("started")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.started = time.perf_counter() - vars(self).pop("elapsed")


@dataclass
class Divergence:
    """Notices a loss that rises far above its lowest and stays there.

    The training loss is averaged with weights that decay over 100 updates. Where that average has been more than
    one nat a token above its lowest for 200 updates in a row, the run has diverged. Noise can't do that: single
    batches that vary by a whole nat (they hold a handful of sentences then) move the average by 0.07.
    """

    mean: float = 0.0
    weight: float = 0.0
    lowest: float | None = None
    updates_above: int = 0

    def update(self, loss: float) -> bool:
        """Adds the loss of an update after the warm-up; returns True once for each divergence."""
        decay = 1 - 1 / HORIZON
        self.mean = decay * self.mean + (1 - decay) * loss
        self.weight = decay * self.weight + (1 - decay)
        if self.weight > 0.5:  # before, the average is that of a few batches
            self.lowest = self.average if self.lowest is None else min(self.lowest, self.average)
        is_above = self.lowest is not None and self.average > self.lowest + RISE
        self.updates_above = self.updates_above + 1 if is_above else 0
        return self.updates_above == LONG

    @property
    def average(self) -> float:
        """Average loss of about the last hundred updates."""
        return self.mean / self.weight

    def report(self, best_step: int) -> tuple[str, dict[str, Any]]:
        """Returns message and figures of a divergence; ``best_step`` is 0 if there is no best model yet."""
        assert self.lowest is not None
        best = f" The best model, of step {best_step}, is kept." if best_step else ""
        message = (
            f"the training loss has diverged: it was down to {self.lowest:.2f} and has been more than {RISE:g} above "
            f"that for long (now {self.average:.2f}). Stop and train anew with a lower training.learning_rate, more "
            f"training.schedule.warmup_steps or a smaller training.clip_norm.{best}"
        )
        return message, {"lowest": round(self.lowest, 4), "average": round(self.average, 4), "best_step": best_step}
