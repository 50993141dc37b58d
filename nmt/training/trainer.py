"""The training loop, top-down: read :meth:`Trainer.run` first."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from nmt.config import Recipe
from nmt.console import say
from nmt.data.batching import Batch, BatchStream
from nmt.device import Precision, autocast, peak_memory_mb
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.training.checkpoint import CheckpointFolder, save_weights, weights_of
from nmt.training.compilation import Forward, compiled_forward
from nmt.training.display import TrainingDisplay, clock_text, training_display
from nmt.training.interrupts import Interrupted, Interrupts
from nmt.training.logging import RunLog
from nmt.training.loss import token_loss
from nmt.training.schedules import LearningRate
from nmt.training.state import (
    MovingAverage,
    Progress,
    load_optimizer,
    load_random,
    optimizer_tensors,
    prefixed,
    random_tensors,
    without_prefix,
)
from nmt.training.validation import Validator

MAX_SKIPPED = 10
"""So many updates in a row with a loss or gradient that isn't finite end the run."""

NUM_SAMPLES = 5


@dataclass
class Window:
    """Sums since the last line of the log."""

    loss: float = 0.0
    tokens: int = 0
    positions: int = 0
    padding: int = 0
    gradient_norm: float = 0.0
    updates: int = 0
    data_seconds: float = 0.0
    started: float = 0.0


class Trainer:
    """Trains a model directory.

    Args:
        recipe: resolved.
        model: on its device.
        batches: the endless stream of training batches.
        validator: measures the model; None where there is nothing to validate on.
        directory: the model directory, already holding recipe and vocabulary.
        precision: of the matrix products.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Seq2Seq,
        batches: BatchStream,
        validator: Validator | None,
        directory: Path,
        precision: Precision,
    ) -> None:
        self.recipe, self.options = recipe, recipe.training
        self.model, self.batches, self.validator = model, batches, validator
        self.directory, self.precision = directory, precision
        self.device = next(model.parameters()).device
        self.progress = Progress()
        self.optimizer = _make_optimizer(model, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self.learning_rate = LearningRate(self.options, self._total_steps())
        self.average = MovingAverage(model, self.options.ema) if self.options.ema else None
        self.checkpoints = CheckpointFolder(directory, self.options.keep_last)
        self.log = RunLog(directory, self.options.tensorboard)
        self._forward: Forward = compiled_forward(model) if self.options.compile else model
        self._prior_V: Tensor | None = None
        if self.options.label_smoothing_prior == "unigram":
            self._prior_V = torch.tensor(batches.target_shares(), dtype=torch.float32, device=self.device)
        self._window = Window()
        self._epoch_padding = [0, 0]  # PAD, positions
        self._last_checkpoint: int | None = None
        self._clock = time.perf_counter()

    def run(self) -> str:
        """Train until an end is reached; the reason is returned.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with a checkpoint saved.
            UserError: the loss stays non-finite, or the disk is full.
        """
        self.model.train()
        batches = iter(self.batches)
        self._clock = time.perf_counter() - self.progress.seconds
        self._window = Window(started=time.perf_counter())
        try:
            with Interrupts() as interrupts, training_display(self.options, self._total_steps()) as display:
                while not (reason := self._end()):
                    epoch = self.batches.epoch
                    self.train_step(batches)
                    self._show(display)
                    if self.progress.step % self.options.log_every == 0:
                        self._log_training()
                    epoch_ended = self.batches.epoch > epoch
                    if epoch_ended:
                        self._log_epoch(epoch + 1)
                    is_last = bool(self._end())
                    if is_last or self._is_due(self.options.validate_every, epoch_ended):
                        self.validate()
                    if is_last or self._is_due(self.options.checkpoint_every, epoch_ended, self.options.validate_every):
                        self.save()
                    if interrupts.received is not None:
                        self.save()
                        raise Interrupted(interrupts.received)
            self._finish(reason)
        finally:
            self.log.close()
        return reason

    def train_step(self, batches: Iterator[Batch]) -> None:
        """One update: gradients of ``accumulate`` batches, clipped and applied."""
        waiting = time.perf_counter()
        group = [next(batches) for _ in range(self.options.accumulate)]
        self._window.data_seconds += time.perf_counter() - waiting
        num_tokens = sum(batch.num_target_tokens for batch in group)
        rate = self.learning_rate.at(self.progress.step + 1)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate

        nll = torch.zeros((), device=self.device)
        for batch in group:
            nll += self._accumulate(batch.to(self.device), num_tokens)
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm or math.inf)
        loss, gradient_norm = (nll / num_tokens).item(), norm.item()
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            self.scaler.step(self.optimizer)
            if self.average is not None:
                self.average.update(self.progress.step + 1)
            self.progress.skipped_in_a_row = 0
            self._count(group, loss, num_tokens, gradient_norm)
        else:
            self._skip(loss)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.seconds = time.perf_counter() - self._clock

    def _accumulate(self, batch: Batch, num_tokens: int) -> Tensor:
        """Add a batch's share of the gradient; give its summed -log p."""
        num_passes = 2 if self.options.r_drop else 1
        read = batch.twice() if num_passes == 2 else batch
        with autocast(self.device, self.precision):
            unrolled = self._forward(
                read.source_BS, read.source_length_B, read.target_input_BT, links_BTS=read.links_BTS
            )
            losses = token_loss(
                unrolled.features_BTD,
                self.model.decoder.output,
                batch.target_output_BT,
                batch.target_length_B,
                self.options.label_smoothing,
                self._prior_V,
                self.options.r_drop,
            )
        extra = [loss / num_passes for loss in unrolled.aux_losses.values()]
        total: Tensor = sum(extra, losses.smoothed) / num_tokens
        torch.autograd.backward(self.scaler.scale(total))
        return losses.nll.detach()

    def _skip(self, loss: float) -> None:
        """Leave out an update whose loss or gradient isn't finite; give up when there are many in a row."""
        self.progress.skipped_in_a_row += 1
        # Loss scaling finds its scale by overflowing now and then; that alone is no trouble.
        if self.progress.skipped_in_a_row <= (MAX_SKIPPED if self.precision != "fp16" else 3 * MAX_SKIPPED):
            return
        raise UserError(
            f"The loss or its gradient was not finite in {self.progress.skipped_in_a_row} updates in a row "
            f"(loss {loss} at update {self.progress.step + 1}).",
            "Lower training.learning_rate, lengthen training.warmup_steps, set training.clip_norm, or use "
            "training.precision=fp32; the last checkpoint is intact, so go on with --resume.",
        )

    def validate(self) -> None:
        """Measure the model, and keep it if it is the best so far."""
        if self.validator is None:
            return
        with self._pause(), self.average.in_model() if self.average is not None else nullcontext():
            result = self.validator(self.model)
        improved = result.beats(self.progress.best)
        if improved:
            self.progress.best, self.progress.best_step = result.metric, self.progress.step
            self._save_model()
        self.progress.validations_without_gain = 0 if improved else self.progress.validations_without_gain + 1
        self.learning_rate.after_validation(improved)
        self.progress.seconds = time.perf_counter() - self._clock
        bleu = {} if result.bleu is None else {"bleu": round(result.bleu, 2)}
        self.log.write(
            "valid", self.progress.step, self.progress.seconds, loss=round(result.loss, 4), **bleu, best=improved
        )
        data = self.validator.data
        count = min(NUM_SAMPLES, len(result.translations))
        if count:
            self.log.write_samples(
                self.progress.step, data.sources[:count], result.translations[:count], data.references[:count]
            )
        shown = f"BLEU {result.bleu:5.2f}, " if result.bleu is not None else ""
        say(
            f"{clock_text(self.progress.seconds)}  step {self.progress.step}: validation {shown}"
            f"loss {result.loss:.3f}{'  (best)' if improved else ''}"
        )

    def save(self) -> None:
        """Write a checkpoint from which training goes on exactly."""
        if self._last_checkpoint == self.progress.step:
            return
        tensors = prefixed("optimizer", optimizer_tensors(self.optimizer, self.model))
        tensors |= prefixed("random", random_tensors(self.device))
        if self.average is not None:
            tensors |= prefixed("average", self.average.weights)
        state = {
            "progress": asdict(self.progress),
            "batches": self.batches.state_dict(),
            "learning_rate": self.learning_rate.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        with self._pause():
            self.checkpoints.save(self.progress.step, weights_of(self.model), tensors, state)
        self._last_checkpoint = self.progress.step
        if not (self.directory / "model.safetensors").exists():
            self._save_model()

    def resume(self, checkpoint: Path) -> None:
        """Go on where a checkpoint was taken."""
        tensors, state = CheckpointFolder.load(checkpoint, self.model)
        load_optimizer(self.optimizer, self.model, without_prefix("optimizer", tensors))
        load_random(without_prefix("random", tensors), self.device)
        if self.average is not None:
            self.average.load(without_prefix("average", tensors))
        self.progress = Progress(**state["progress"])
        self.progress.skipped_in_a_row = 0
        self.batches.load_state_dict(state["batches"])
        self.learning_rate.load_state_dict(state["learning_rate"])
        if state["scaler"]:  # empty where another precision was used
            self.scaler.load_state_dict(state["scaler"])
        self._last_checkpoint = self.progress.step
        self.log.write("resume", self.progress.step, self.progress.seconds)

    def _save_model(self) -> None:
        weights = self.average.weights if self.average is not None else weights_of(self.model)
        save_weights(weights, self.directory / "model.safetensors")

    def _end(self) -> str:
        """Why training is over, or nothing."""
        o, p = self.options, self.progress
        if o.max_steps and p.step >= o.max_steps:
            return f"training.max_steps ({o.max_steps}) reached"
        if o.max_epochs and self.batches.epoch >= o.max_epochs:
            return f"training.max_epochs ({o.max_epochs}) reached"
        if o.max_minutes and p.seconds >= 60 * o.max_minutes:
            return f"training.max_minutes ({o.max_minutes:g}) reached"
        if o.patience and p.validations_without_gain >= o.patience:
            return f"no gain in {o.patience} validations (training.patience)"
        if self.learning_rate.exhausted:
            return "the learning rate fell below training.min_learning_rate"
        return ""

    def _finish(self, reason: str) -> None:
        """What is still to be written."""
        if self.progress.step % self.options.log_every:
            self._log_training()
        self.save()
        if self.progress.best is None:
            self._save_model()
        self.log.write("end", self.progress.step, self.progress.seconds, reason=reason)

    def _total_steps(self) -> int | None:
        """Updates until ``max_steps`` or ``max_epochs``; all epochs have the same number of batches."""
        o = self.options
        by_epochs = math.ceil(o.max_epochs * len(self.batches) / o.accumulate) if o.max_epochs else None
        return min((n for n in (o.max_steps, by_epochs) if n), default=None)

    def _is_due(self, every: int | None, epoch_ended: bool, otherwise: int | None = None) -> bool:
        every = every or otherwise
        return self.progress.step % every == 0 if every else epoch_ended

    @contextmanager
    def _pause(self) -> Iterator[None]:
        """Take validating and saving out of the tokens a second."""
        started = time.perf_counter()
        yield
        self._window.started += time.perf_counter() - started

    def _count(self, group: list[Batch], loss: float, num_tokens: int, gradient_norm: float) -> None:
        w = self._window
        w.loss += loss * num_tokens
        w.tokens += num_tokens
        w.gradient_norm += gradient_norm
        w.updates += 1
        for batch in group:
            w.positions += batch.num_positions
            w.padding += batch.num_padding
            self._epoch_padding[0] += batch.num_padding
            self._epoch_padding[1] += batch.num_positions

    def _log_training(self) -> None:
        w, elapsed = self._window, time.perf_counter() - self._window.started
        if w.updates:
            self.log.write(
                "train",
                self.progress.step,
                self.progress.seconds,
                epoch=self.batches.epoch,
                loss=round(w.loss / w.tokens, 4),
                tokens_per_second=round(w.tokens / elapsed, 1),
                learning_rate=self.learning_rate.at(self.progress.step),
                gradient_norm=round(w.gradient_norm / w.updates, 4),
                padding=round(w.padding / w.positions, 5),
                waiting_for_data=round(w.data_seconds / elapsed, 5),
                peak_memory_mb=peak_memory_mb(self.device),
            )
        self._window = Window(started=time.perf_counter())

    def _log_epoch(self, epoch: int) -> None:
        padding, positions = self._epoch_padding
        share = padding / max(positions, 1)
        self.log.write("epoch", self.progress.step, self.progress.seconds, epoch=epoch, padding=round(share, 5))
        now = clock_text(self.progress.seconds)
        say(f"{now}  epoch {epoch} done at step {self.progress.step}, padding {share:.1%}")
        self._epoch_padding = [0, 0]

    def _show(self, display: TrainingDisplay) -> None:
        w = self._window
        if w.tokens:
            speed = w.tokens / (time.perf_counter() - w.started)
            display.update(self.progress, self.batches.epoch, w.loss / w.tokens, speed)


def _make_optimizer(model: Seq2Seq, recipe: Recipe) -> torch.optim.Optimizer:
    o = recipe.training
    kind = torch.optim.Adam if o.optimizer == "adam" else torch.optim.AdamW
    parameters = [p for p in model.parameters() if p.requires_grad]
    return kind(parameters, lr=o.learning_rate, betas=o.betas, eps=o.eps, weight_decay=o.weight_decay, fused=True)
