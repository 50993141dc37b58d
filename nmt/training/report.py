"""What a run tells while it goes on: on the screen, in metrics.jsonl and in samples/."""

import math
from typing import Any

from nmt.console import say, warn
from nmt.data.batching import Batch
from nmt.evaluation.degenerate import DegenerateCount
from nmt.evaluation.metrics import score_text
from nmt.training.checkpointing.state import Progress
from nmt.training.display import TrainingDisplay, clock_text
from nmt.training.divergence import RISE, Divergence
from nmt.training.logging import Log
from nmt.training.meter import Meter
from nmt.training.out_of_memory import shape_text
from nmt.training.validation import Validation, ValidationSet

NUM_SAMPLES = 5


class Report:
    """Turns what happens in a run into lines.

    Args:
        log: where the lines go.
        progress: of the run; its step and clock stand in each line.
        meter: has the sums of the training lines.
    """

    def __init__(self, log: Log, progress: Progress, meter: Meter) -> None:
        self._log = log
        self._progress, self._meter = progress, meter

    def start(self) -> None:
        """Go on where the checkpoint was taken, or begin."""
        self._log.go_back(self._progress.step)
        if self._progress.step:
            self._write("resume")

    def training(self, epoch: int, **figures: Any) -> None:
        """The figures of the meter, and others."""
        if line := self._meter.line():
            self._write("train", epoch=epoch, **line, **figures)

    def epoch(self, epoch: int) -> None:
        share = self._meter.end_epoch()
        self._write("epoch", epoch=epoch, padding=round(share, 5))
        say(f"{self._clock}  epoch {epoch} done at step {self._progress.step}, padding {share:.1%}")

    def validation(self, result: Validation, improved: bool, data: ValidationSet) -> None:
        figures = {"loss": round(result.loss, 4)}
        if result.score is not None:
            figures |= {result.metric: round(result.score, 4), "degenerate": round(result.degenerate.share, 4)}
        self._write("valid", 0, **figures, best=improved)
        if result.translations:
            shown = slice(min(NUM_SAMPLES, len(result.translations)))
            samples = data.sources[shown], result.translations[shown], data.references[shown]
            self._log.write_samples(self._progress.step, *samples)
        text = f"{score_text(result.metric, result.score)}, " if result.score is not None else ""
        best = "  (best)" if improved else ""
        say(f"{self._clock}  step {self._progress.step}: validation {text}loss {result.loss:.3f}{best}")

    def degenerate(self, count: DegenerateCount) -> None:
        """Tell of validation translations that went wrong plainly, where they are more than single ones."""
        if count.is_serious:
            warn(f"{count.summary()}.")

    def skipped(self, loss: float, gradient_norm: float, scale: float | None) -> None:
        """The update after this step was left out. ``scale``: of the loss in float16, else None."""
        self._write("skip", 1, loss=loss, gradient_norm=gradient_norm, scale=scale)
        if scale is None:  # loss scaling finds its scale by overflowing now and then
            what = "gradient" if math.isfinite(loss) else "loss"
            warn(f"the {what} of update {self._progress.step + 1} is not finite: the update is left out.")

    def out_of_memory(self, batch: Batch) -> None:
        """A batch didn't fit in the update after this step."""
        source, target = batch.source_BS.shape[1], batch.target_output_BT.shape[1]
        self._write("out_of_memory", 1, sentences=len(batch.source_BS), source_length=source, target_length=target)
        warn(
            f"out of memory in update {self._progress.step + 1}: {len(batch.source_BS)} sentence pairs of up to "
            f"{shape_text(batch)} don't fit and are split in two. If this is said often, lower training.batch_tokens "
            "or data.max_length."
        )

    def diverged(self, divergence: Divergence) -> None:
        """The loss has run away in the update after this step."""
        p = self._progress
        self._write("diverged", 1, lowest=round(divergence.lowest, 4), average=round(divergence.average, 4))
        best = f" The best model, of step {p.best_step}, is kept." if p.best is not None else ""
        warn(
            f"the training loss has run away: it was down to {divergence.lowest:.2f} and has been more than {RISE:g} "
            f"above that for long (now {divergence.average:.2f}). Stop and train anew with a lower "
            f"training.learning_rate, a longer training.warmup_steps or a smaller training.clip_norm.{best}"
        )

    def end(self, reason: str) -> None:
        self._write("end", reason=reason)

    def show(self, display: TrainingDisplay, epoch: int) -> None:
        """Show the latest update."""
        meter, loss = self._meter, self._meter.loss
        if loss is not None:
            display.update(self._progress, epoch, loss, meter.tokens_per_second, meter.skipped)

    def close(self) -> None:
        self._log.close()

    def _write(self, event: str, ahead: int = 0, /, **figures: Any) -> None:
        """A line about the present step, or about the update ``ahead`` of it."""
        self._log.write(event, self._progress.step + ahead, self._progress.seconds, **figures)

    @property
    def _clock(self) -> str:
        return clock_text(self._progress.seconds)
