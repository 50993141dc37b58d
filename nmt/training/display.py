"""How a run shows itself while it trains: a bar on a terminal; in a log file or a notebook a line now and then."""

from collections.abc import Iterator
from contextlib import contextmanager

from nmt.config import TrainingOptions
from nmt.console import Bar, draws_bars, progress_bar, say, silent_for
from nmt.evaluation.metrics import score_text
from nmt.training.checkpointing.state import Progress

SILENCE = 180.0
"""Seconds without a message (of a validation or an epoch) after which a log file gets a line."""


class TrainingDisplay:
    """Shows each update; made by :func:`training_display`."""

    def __init__(self, bar: Bar, options: TrainingOptions, total_steps: int | None) -> None:
        self._bar, self._options, self._total_steps = bar, options, total_steps

    def update(self, progress: Progress, epoch: int, loss: float, tokens_per_second: float, skipped: int = 0) -> None:
        """Show where the run is.

        Args:
            progress: of the run.
            epoch: passes over the data that are complete.
            loss: mean over the last updates.
            tokens_per_second: likewise.
            skipped: how many of the last updates were left out.
        """
        if draws_bars():
            self._draw(progress, epoch, loss, tokens_per_second, skipped)
        elif silent_for() >= SILENCE:
            left = self.seconds_left(progress)
            place = f"{progress.step:,}" + (f" of {self._total_steps:,}" if self._total_steps else "")
            say(
                f"{clock_text(progress.seconds)}  step {place}, epoch {epoch + 1}: loss {loss:.3f}, "
                f"{tokens_per_second:,.0f} tokens/s" + ("" if left is None else f", about {duration_text(left)} left")
            )

    def _draw(self, progress: Progress, epoch: int, loss: float, tokens_per_second: float, skipped: int) -> None:
        text = f"epoch {epoch + 1}  loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s"
        if progress.best is not None:
            text += f"  best {score_text(self._options.metric, progress.best)}"
        if skipped:
            text += f"  {skipped} skipped"
        done = self.done(progress)
        # A bar without an end counts the updates itself.
        self._bar.update(*((progress.step, text) if done is None else (done, f"step {progress.step:,}  {text}")))

    def done(self, progress: Progress) -> float | None:
        """The share of the run that is over, by the end that is nearest; None where no end is known."""
        shares = []
        if self._total_steps:
            shares.append(progress.step / self._total_steps)
        if self._options.max_minutes:
            shares.append(progress.seconds / (60 * self._options.max_minutes))
        return min(1.0, max(shares)) if shares else None

    def seconds_left(self, progress: Progress) -> float | None:
        """At the speed of the whole run so far, validations counted; None where no end is known."""
        lefts = []
        if self._total_steps and progress.step:
            lefts.append((self._total_steps - progress.step) * progress.seconds / progress.step)
        if self._options.max_minutes:
            lefts.append(60 * self._options.max_minutes - progress.seconds)
        return max(0.0, min(lefts)) if lefts else None


@contextmanager
def training_display(options: TrainingOptions, total_steps: int | None) -> Iterator[TrainingDisplay]:
    """Show a run while this context is open.

    Args:
        options: of the recipe.
        total_steps: updates of the whole run, where they are known.
    """
    ends = bool(total_steps or options.max_minutes)
    with progress_bar("training", 1.0 if ends else None) as bar:
        yield TrainingDisplay(bar, options, total_steps)


def clock_text(seconds: float) -> str:
    """Minutes and seconds, as wide in every line of a log."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes:3d}:{seconds:02d}"


def duration_text(seconds: float) -> str:
    """As exact as a forecast should be."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(1, minutes)} min"
