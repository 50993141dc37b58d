"""Sums behind the figures of a run: loss, speed, padding, and time lost in waiting."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Counts:
    """What an update was computed on."""

    tokens: int
    """Target tokens and EOS, without PAD."""
    positions: int
    """Source and target positions, PAD included."""
    padding: int
    """Positions among them that hold PAD."""


@dataclass
class Sums:
    """Since the last line of the log; ``epoch_…`` since the epoch began."""

    loss: float = 0.0
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


class Meter:
    """Adds up what :meth:`take` then gives as figures. Its state is part of a checkpoint, so curves have no seam."""

    def __init__(self) -> None:
        self.sums = Sums()
        self._started = time.perf_counter()

    def count(self, counts: Counts, loss: float, gradient_norm: float) -> None:
        """Take in an update. ``loss``: mean -log p of its tokens."""
        s = self.sums
        s.loss += loss * counts.tokens
        s.tokens += counts.tokens
        s.positions += counts.positions
        s.padding += counts.padding
        s.gradient_norm += gradient_norm
        s.updates += 1
        s.epoch_positions += counts.positions
        s.epoch_padding += counts.padding

    def count_extra(self, losses: Mapping[str, float]) -> None:
        """Take in the extra losses of a batch, summed over it, by name."""
        for name, loss in losses.items():
            self.sums.extra[name] = self.sums.extra.get(name, 0.0) + loss

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Take validating and saving out of the tokens a second."""
        began = time.perf_counter()
        yield
        self._started += time.perf_counter() - began

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside this context as waiting for data."""
        began = time.perf_counter()
        yield
        self.sums.waiting_seconds += time.perf_counter() - began

    @property
    def loss(self) -> float | None:
        """Mean -log p of the tokens so far; None before the first."""
        return self.sums.loss / self.sums.tokens if self.sums.tokens else None

    @property
    def tokens_per_second(self) -> float:
        return self.sums.tokens / max(self._elapsed, 1e-9)

    @property
    def _elapsed(self) -> float:
        return time.perf_counter() - self._started

    def take(self) -> dict[str, Any]:
        """Figures of :class:`nmt.training.events.TrainingLoss`, which start anew; empty where nothing was counted."""
        s, elapsed = self.sums, self._elapsed
        self.sums = Sums(epoch_positions=s.epoch_positions, epoch_padding=s.epoch_padding)
        self._started = time.perf_counter()
        if not s.updates + s.skipped:
            return {}
        trained = s.updates > 0
        return {
            "loss": round(s.loss / s.tokens, 4) if trained else None,
            "tokens_per_second": round(s.tokens / elapsed, 1),
            "gradient_norm": round(s.gradient_norm / s.updates, 4) if trained else None,
            "padding": round(s.padding / s.positions, 5) if trained else None,
            "waiting_for_data": round(s.waiting_seconds / elapsed, 5),
            "skipped": s.skipped,
            "extra": {name: round(loss / s.tokens, 5) if trained else None for name, loss in s.extra.items()},
        }

    def end_epoch(self) -> float:
        """Fraction of padding in the epoch that ends here."""
        fraction = self.sums.epoch_padding / max(self.sums.epoch_positions, 1)
        self.sums.epoch_padding = self.sums.epoch_positions = 0
        return fraction

    def state_dict(self) -> dict[str, Any]:
        return {**asdict(self.sums), "elapsed": self._elapsed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums = Sums(**{key: value for key, value in state.items() if key != "elapsed"})
        self._started = time.perf_counter() - state["elapsed"]
