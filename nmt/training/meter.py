"""Sums behind the lines of metrics.jsonl: loss, speed, padding, and time lost in waiting."""

import time
from collections.abc import Iterator
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
class _Sums:
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


@dataclass
class Meter:
    """Adds up what :meth:`line` then gives as figures. Its state is part of a checkpoint, so curves have no seam."""

    _sums: _Sums = field(default_factory=_Sums)
    _started: float = field(default_factory=time.perf_counter)

    def count(self, counts: Counts, loss: float, gradient_norm: float) -> None:
        """Take in an update. ``loss``: mean -log p of its tokens."""
        s = self._sums
        s.loss += loss * counts.tokens
        s.tokens += counts.tokens
        s.positions += counts.positions
        s.padding += counts.padding
        s.gradient_norm += gradient_norm
        s.updates += 1
        s.epoch_positions += counts.positions
        s.epoch_padding += counts.padding

    def skip(self) -> None:
        """Take in an update that was left out."""
        self._sums.skipped += 1

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
        self._sums.waiting_seconds += time.perf_counter() - began

    @property
    def loss(self) -> float | None:
        """Mean -log p of the tokens so far; None before the first."""
        return self._sums.loss / self._sums.tokens if self._sums.tokens else None

    @property
    def tokens_per_second(self) -> float:
        return self._sums.tokens / max(self._elapsed, 1e-9)

    @property
    def skipped(self) -> int:
        return self._sums.skipped

    @property
    def _elapsed(self) -> float:
        return time.perf_counter() - self._started

    def line(self) -> dict[str, Any]:
        """The figures since the line before, from which the next line starts anew; empty where nothing was counted."""
        s, elapsed = self._sums, self._elapsed
        self._sums = _Sums(epoch_positions=s.epoch_positions, epoch_padding=s.epoch_padding)
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
        }

    def end_epoch(self) -> float:
        """Share of padding in the epoch that ends here."""
        share = self._sums.epoch_padding / max(self._sums.epoch_positions, 1)
        self._sums.epoch_padding = self._sums.epoch_positions = 0
        return share

    def state_dict(self) -> dict[str, Any]:
        return {**asdict(self._sums), "elapsed": self._elapsed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums = _Sums(**{key: value for key, value in state.items() if key != "elapsed"})
        self._started = time.perf_counter() - state["elapsed"]
