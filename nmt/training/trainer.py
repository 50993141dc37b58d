"""The training loop, top-down: read :meth:`Trainer.run` first."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt.core.device import peak_memory_mb
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.batch import Batch
from nmt.data.batching import BatchStream
from nmt.models.weights import read_tensors, save_weights, weights_of
from nmt.recipe.registry import provided
from nmt.recipe.schema import Recipe
from nmt.training import events
from nmt.training.checkpoint import CheckpointFolder, damage, read_state, training_tensors
from nmt.training.distributed import REPEATED, SINGLE_PROCESS, Interrupted, Interrupts, ProcessGroup
from nmt.training.events import Event, Sink
from nmt.training.graphs import DeviceGradients, DeviceUpdate, computes_on_device, constant_scaler, records_graphs
from nmt.training.meter import Update
from nmt.training.objective import BatchLoss, Objective, release_memory, shape_text, split_on_oom
from nmt.training.optimization import make_optimizer, make_schedule
from nmt.training.state import RunState
from nmt.training.validation import Validation, Validator
from nmt.training.weights import Factors, MovingAverage, layer_matrices

READ_EVERY = 1.0
"""Seconds after which the figures of updates are read from an accelerator, which has to be waited for."""

MAX_SKIPPED = 10
"""Number of consecutive updates with a non-finite loss or gradient that end the run; in float16 three times as many."""

NUM_SAMPLES = 5
"""Number of translations in the event of a validation."""


class Trainer:
    """Trains a model directory, which holds recipe and vocabulary already.

    Args:
        objective: on the device of the run.
        validator: None where only :meth:`train_step` is called.
    """

    def __init__(
        self,
        recipe: Recipe,
        objective: Objective,
        batches: BatchStream,
        validator: Validator | None,
        directory: Path,
        emit: Sink = lambda event: None,
        process_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.options = options = recipe.training
        self.batches, self.validator = batches, validator
        self._sink, self.process_group = emit, process_group
        self.model = model = objective.model
        self.device, self.precision = model.device, objective.precision
        for key, used in ((f"techniques.{objective.own_backward}", objective.own_backward), ("lora", options.lora)):
            if used and process_group.size > 1:
                raise UserError(f"training.{key} works in one process alone.", "Remove it, or start one process.")
        self._objective, self.techniques = objective, objective.techniques
        self.lora: Factors | None = provided("LoRA", "training.lora")(model, options.lora) if options.lora else None
        self.trained = dict(model.named_parameters()) if self.lora is None else self.lora.trained
        """Parameters of the optimizer, by name."""
        self.optimizer = make_optimizer(options, self.trained, layer_matrices(model))
        self._clip_norm = options.clip_norm or math.inf
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self._on_device: DeviceGradients | None = None
        if computes_on_device(objective, options, process_group):
            if self.precision != "fp16":
                self.scaler = constant_scaler(self.device)
            examples = batches.use_few_shapes() if records_graphs(objective, options) else []
            self._on_device = DeviceGradients(objective, self.scaler, examples)
            self._update_on_device = DeviceUpdate(
                self.optimizer, self.scaler, list(self.trained.values()), self._clip_norm, self._on_device.record
            )
        self.objective = process_group.wrap(objective)
        self._unread: list[Update] = []
        self._read_at = time.perf_counter()
        self._updated: list[dict[str, Any]] = []
        """Values of the events of updates that have been counted."""
        self.schedule = make_schedule(options, self._total_steps())
        self.average = MovingAverage(model, options.ema) if options.ema else None
        self.state = RunState(
            model, self.optimizer, self.trained, self.lora, self.average, self.schedule, options.schedule["type"],
            self.scaler if self.precision == "fp16" else None, batches, self.techniques,
        )  # fmt: skip
        self.meter, self.progress, self.divergence = self.state.meter, self.state.progress, self.state.divergence
        self._weights = ModelDirectory(directory).weights
        self.checkpoints = CheckpointFolder(directory, options.keep_last, options.keep_best)
        self.interrupts = Interrupts(REPEATED if process_group.size > 1 else 0.0)
        self._stop: Interrupted | None = None
        self._measured: Validation | None = None
        self._last_checkpoint: int | None = None
        self._clock = time.perf_counter()
        self._limit = 60 * options.max_minutes if options.max_minutes else math.inf
        """Seconds of training after which it ends."""

    def run(self) -> str:
        """Trains until an end is reached, and returns the reason.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with a checkpoint saved.
            UserError: the loss stays non-finite, a sentence doesn't fit in memory, or the disk is full.
        """
        self.model.train()
        batches = iter(self.batches)
        self._clock = time.perf_counter() - self.progress.seconds
        limits = {"total_steps": self._total_steps(), "expected_score": self.options.expected_score}
        limits["max_minutes"] = None if self._limit == math.inf else self._limit / 60
        name = "resume" if self.progress.step else ""  # a new run has no line
        self._emit(events.Started, name=name, validation_due=self.progress.validation_due, **limits)
        with self.interrupts:
            if self.progress.validation_due:
                self._validate_and_save(checkpoint_due=True)
            while not (reason := self._end()):
                epoch, stage = self.batches.epoch, self.batches.stage
                self.train_step(batches)
                epoch_ended, is_last = self.batches.epoch > epoch, bool(self._end())
                self._report(epoch_ended, is_last)
                if self.batches.stage != stage:
                    self._emit(events.StageBegan, stage=self.batches.stage)
                self.progress.validation_due = is_last or self._is_due(self.options.validate_every, epoch_ended)
                every = self.options.checkpoint_every or self.options.validate_every
                due = is_last or self._is_due(every, epoch_ended) or self.schedule.begins_to_fall(self.progress.step)
                self._validate_and_save(checkpoint_due=due)
        self.save()
        if not self._weights.exists():
            self._save_model()
        self._emit(events.Ended, reason=reason)
        return reason

    def _report(self, epoch_ended: bool, is_last: bool) -> None:
        """Emits the figures of an update."""
        if epoch_ended or is_last:
            self._read()
        epoch, speed = self.batches.epoch, self.meter.tokens_per_second
        for values in self._updated:
            ahead = values.pop("step") - self.progress.step
            best = {"metric": self.options.metric, "best": self.progress.best}
            self._emit(events.Updated, ahead, tokens_per_second=speed, **values, **best)
        self._updated.clear()
        if (is_last or self._is_due(self.options.log_every)) and (figures := self.meter.take()):
            rate, memory = self.schedule.at(self.progress.step), peak_memory_mb(self.device)
            self._emit(events.TrainingLoss, epoch=epoch, learning_rate=rate, peak_memory_mb=memory, **figures)
        if epoch_ended:
            self._emit(events.EpochEnded, epoch=epoch, padding=round(self.meter.end_epoch(), 5))

    def _emit(self, event: type[Event], ahead: int = 0, /, **values: Any) -> None:
        """Emits an event of the current step, or of the update ``ahead`` of it."""
        self._sink(event(step=self.progress.step + ahead, seconds=self.progress.seconds, **values))

    def train_step(self, batches: Iterator[Batch]) -> None:
        """One update: load ``accumulate`` batches, compute their gradients, clip and apply them."""
        with self.meter.waiting():
            group = [next(batches) for _ in range(self.options.accumulate)]
        self._measured = None
        step = self.progress.step + 1
        sizes = ([batch.num_target_tokens, batch.num_positions, batch.num_padding] for batch in group)
        # The loss is a mean over the target tokens of all batches and ranks, however the text is divided into batches.
        tokens, positions, padding = map(int, self.process_group.all_reduce("sum", *map(sum, zip(*sizes, strict=True))))
        update = Update(step, self.batches.epoch, tokens, positions, padding)
        if self._on_device is not None:
            add = partial(self._add_on_device, self._on_device, update)
            self._on_device.begin(tokens)
        else:
            add = partial(self._add_gradient, update)
        sums = split_on_oom(group, add, self._make_room)
        if self._on_device is not None:
            # Reading a number would wait for the accelerator. Its scaler leaves out an update that isn't finite, and
            # the figures are read later, those of many updates at once.
            norm = self._update_on_device.apply(self.schedule.at(step))
            update.figures = torch.cat((norm[None], sums))
            self._unread.append(update)
            is_applied = True
        else:
            self.scaler.unscale_(self.optimizer)
            norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self._clip_norm)
            figures = self.process_group.all_reduce("sum", *sums.tolist())
            if is_applied := self._count(update, norm.item(), figures):
                for parameters in self.optimizer.param_groups:
                    parameters["lr"] = self.schedule.at(step)
                self.scaler.step(self.optimizer)
                if self.lora is not None:
                    self.lora.merge()
            self.scaler.update()
        if self.average is not None and is_applied:
            self.average.update(step)
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step = step
        if self._unread and (self._is_due(self.options.log_every) or time.perf_counter() > self._read_at + READ_EVERY):
            self._read()
        self._agree()
        if self.ends_by_time:
            self.schedule.after_update(step, self.progress.seconds, self._limit)

    def _count(self, update: Update, gradient_norm: float, figures: Sequence[float]) -> bool:
        """Counts an update by its summed -log p and extra losses; returns whether its loss and gradient are finite."""
        loss = figures[0] / update.tokens
        is_finite = math.isfinite(loss) and math.isfinite(gradient_norm)
        if is_finite:
            self.progress.skipped_in_a_row = 0
            self.meter.count(update, loss, gradient_norm, dict(zip(update.names, figures[1:], strict=True)))
            if update.step > self.schedule.warmup_steps and self.divergence.update(loss):
                message, values = self.divergence.report(self.progress.best_step)
                ahead = update.step - self.progress.step
                self._emit(events.Warned, ahead, name="diverged", message=message, values=values)
        else:
            self._skip(update.step, loss, gradient_norm)
        if (mean := self.meter.loss) is not None:
            values = {"step": update.step, "epoch": update.epoch, "loss": mean, "skipped": self.meter.skipped}
            self._updated.append(values)
        return is_finite

    def _read(self) -> None:
        """Reads the figures of updates from an accelerator, and counts them."""
        unread, self._unread = self._unread, []
        figures = torch.stack([update.figures for update in unread]).tolist() if unread else []
        for update, (norm, *sums) in zip(unread, figures, strict=True):
            self._count(update, norm, sums)
        self._read_at = time.perf_counter()

    def _add_on_device(self, gradients: DeviceGradients, update: Update, batch: Batch, is_last: bool) -> Tensor:
        """Adds the gradient of a batch; returns its summed -log p and the extra losses."""
        figures = gradients.add(batch, self.progress.step)
        update.names = list(figures)[1:]
        return torch.stack(list(figures.values()))

    def _add_gradient(self, update: Update, batch: Batch, is_last: bool) -> Tensor:
        """Adds the gradient of a batch; returns its summed -log p and the extra losses."""

        def scaled(loss: Tensor) -> Tensor:
            # So that the mean over ranks is the mean over the tokens of all ranks.
            return self.scaler.scale(loss * (self.process_group.size / update.tokens))

        batch = batch.to(self.device)
        if self._objective.own_backward:
            return self._objective.add_gradient(batch, self.progress.step, scaled)[None]
        with nullcontext() if is_last else self.process_group.no_sync(self.objective):
            loss: BatchLoss = self.objective(batch, self.progress.step)
            torch.autograd.backward(scaled(loss.total))
        update.names = list(loss.extra)
        return torch.stack([loss.nll, *loss.extra.values()])

    def _make_room(self, batch: Batch) -> None:
        """Drops the gradients of an update after a batch that didn't fit in memory."""
        self.process_group.refuse_to_split(shape_text(batch))
        self.optimizer.zero_grad(set_to_none=True)
        release_memory(self.device)
        (sentences, source), target = batch.source_BS.shape, batch.target_output_BT.shape[1]
        message = (
            f"out of memory in update {self.progress.step + 1}: {sentences} sentence pairs of up to "
            f"{shape_text(batch)} don't fit and are split in two. If this happens often, lower training.batch_tokens "
            "or data.max_length."
        )
        values = {"sentences": sentences, "source_length": source, "target_length": target}
        self._emit(events.Warned, 1, name="out_of_memory", message=message, values=values)

    def _skip(self, update: int, loss: float, gradient_norm: float) -> None:
        """Skips an update with a non-finite loss or gradient; many in a row are an error."""
        self.meter.skipped += 1
        self.progress.skipped_in_a_row += 1
        scale, message, most = None, "", MAX_SKIPPED
        if self.precision == "fp16":  # overflows are how it finds its scale
            scale, most = self.scaler.get_scale(), 3 * MAX_SKIPPED
        else:
            wrong = "gradient" if math.isfinite(loss) else "loss"
            message = f"the {wrong} of update {update} is not finite: the update is left out."
        values = {"loss": loss, "gradient_norm": gradient_norm, "scale": scale}
        self._emit(events.Warned, update - self.progress.step, name="skip", message=message, values=values)
        if self.progress.skipped_in_a_row > most:
            raise UserError(
                f"The loss or its gradient was not finite in {self.progress.skipped_in_a_row} updates in a row "
                f"(loss {loss} at update {update}).",
                "Lower training.learning_rate, raise training.schedule.warmup_steps, set training.clip_norm, or use "
                "training.precision=fp32; the last checkpoint is intact, so go on with --resume.",
            )

    def _validate_and_save(self, checkpoint_due: bool) -> None:
        """Validates, saves, and stops if asked."""
        improved = self.progress.validation_due and self.validate()
        if checkpoint_due or improved or self._stop is not None:
            self.save()
        if improved:  # after the checkpoint, so that the model is never newer than it
            self._save_model()
        if self._stop is not None:
            raise self._stop

    def validate(self) -> bool:
        """Validates the model; returns whether it is the best so far. After a signal the validation remains due."""
        self._read()
        assert self.validator is not None
        with self.meter.pause(), self.average.in_model() if self.average is not None else nullcontext():
            result = self.validator(self.model, lambda: self.interrupts.received is not None)
        self._agree()
        if result is None:
            return False
        self._measured, progress = result, self.progress
        progress.validation_due = False
        improved = result.beats(progress.best, progress.best_loss)
        if improved:
            progress.best, progress.best_step, progress.best_loss = result.value, progress.step, result.loss
        progress.validations_without_gain = 0 if improved else progress.validations_without_gain + 1
        self.schedule.after_validation(improved)
        data = self.validator.data
        shown = zip(data.sources, result.translations[:NUM_SAMPLES], data.references, strict=False)
        figures = {name: getattr(result, name) for name in ("loss", "metric", "score", "degenerate")}
        self._emit(events.Validated, **figures, best=improved, samples=tuple(events.Sample(*texts) for texts in shown))
        for name, values in result.observations.items():
            self._emit(events.Observed, observer=name, values=values)
        if result.is_suspicious:
            self._emit(events.Warned, message=f"{result.degenerate.summary()}.")
        return improved

    def save(self) -> None:
        """Writes a checkpoint from which training can be resumed exactly."""
        if self._last_checkpoint == self.progress.step:
            return
        self._read()
        tensors = self.state.tensors(self.process_group)
        values = self.state.values() | {"validation": self._measured and self._measured.figures()}
        values["keep"] = self.schedule.begins_to_fall(self.progress.step)
        values["validated_on"] = self.validator and self.validator.data.fingerprint
        values["max_minutes"] = self.options.max_minutes
        self._last_checkpoint = self.progress.step
        if not self.process_group.is_main:
            return
        with self.meter.pause():
            path = self.checkpoints.save(self.progress.step, weights_of(self.model), tensors, values)
            if self.progress.best is None:  # nothing was validated yet
                self._save_model()
        self._emit(events.Saved, checkpoint=path)

    def _save_model(self) -> None:
        if self.process_group.is_main:
            save_weights(self.state.weights, self._weights)

    @property
    def ends_by_time(self) -> bool:
        """Whether the schedule must know the end of the run, which is a time."""
        return self.schedule.needs_end and self.schedule.total_steps is None

    def end_in(self, seconds: float) -> None:
        """Ends training after a time from now, in place of ``training.max_minutes``."""
        self._limit = self.progress.seconds + seconds

    def resume(self, checkpoint: Path) -> None:
        """Resumes from a checkpoint."""
        self.state.load(checkpoint, self.process_group.rank)
        self._last_checkpoint = None if self.progress.validation_due else self.progress.step
        progress, before = self.progress, read_state(checkpoint)
        if self.ends_by_time and progress.step and 60 * (before.get("max_minutes") or 0) < self._limit < math.inf:
            self.schedule.lengthen(progress.step, progress.seconds, self._limit)
        data = self.validator and self.validator.data
        if data and before.get("validated_on", data.fingerprint) != data.fingerprint:
            if len(data.indices) < len(data.corpus):  # pairs of the training text
                raise UserError(
                    "The text has changed: other pairs than before would be held out for validation.",
                    "Give the text and data.max_length of before, or name a validation split with data.valid (in "
                    "Python: valid=).",
                )
            self._emit(events.Warned, message="the run validates on other text: the best model is looked for anew.")
            progress.best, progress.best_step, progress.validations_without_gain = None, 0, 0
        # After a kill, model.safetensors may be newer than the checkpoint.
        best = self.checkpoints.at(self.progress.best_step)
        if self.process_group.is_main and self.progress.best is not None and best.is_dir() and not damage(best):
            save_weights(training_tensors(best)["average"] or read_tensors(best / "weights.safetensors"), self._weights)

    def _end(self) -> str:
        """Returns the reason why training is over, or an empty text."""
        o, p = self.options, self.progress
        if o.max_steps and p.step >= o.max_steps:
            return f"training.max_steps ({o.max_steps}) reached"
        if o.max_epochs and self.batches.epoch >= o.max_epochs:
            return f"training.max_epochs ({o.max_epochs}) reached"
        if self.batches.is_over:
            return "the last one of data.stages has ended"
        if p.seconds >= self._limit and p.step:  # a deadline can be over before the first update
            warmup = self.schedule.warmup_steps
            limit = f"training.max_minutes ({o.max_minutes:g})" if o.max_minutes else "the deadline"
            early = f" before the warm-up of {warmup:,} updates had ended" if p.step < warmup else ""
            return f"{limit} reached{early}"
        if o.patience and p.validations_without_gain >= o.patience:
            return f"no gain in {o.patience} validation{'s' * (o.patience != 1)} (training.patience)"
        return self.schedule.end

    def _total_steps(self) -> int | None:
        """Returns the number of updates until ``max_steps`` or ``max_epochs``, estimated from the first epoch."""
        o = self.options
        batches_a_step = o.accumulate * self.process_group.size
        by_epochs = math.ceil(o.max_epochs * len(self.batches) / batches_a_step) if o.max_epochs else None
        return min((n for n in (o.max_steps, by_epochs) if n), default=None)

    def _is_due(self, every: int | None, epoch_ended: bool = False) -> bool:
        return self.progress.step % every == 0 if every else epoch_ended

    def _agree(self) -> None:
        """Reduces clock and stop requests over the ranks, so that all end at the same update."""
        own = time.perf_counter() - self._clock, self.interrupts.received or 0
        self.progress.seconds, signal = self.process_group.all_reduce("max", *own)
        self._stop = Interrupted(int(signal)) if signal else None
