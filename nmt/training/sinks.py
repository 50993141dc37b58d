"""What takes the events of a run: metrics.jsonl, samples/, tensorboard/ and the console."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from nmt.console import Bar, draws_bars, progress_bar, say, silent_for, warn
from nmt.errors import UserError
from nmt.evaluation.metrics import score_text
from nmt.files import cannot_write, open_output
from nmt.model_directory import ModelDirectory
from nmt.training import events
from nmt.training.divergence import RISE
from nmt.training.events import Event, Sample, Sink, Started, Updated, Validated

SILENCE = 180.0
"""Seconds without a message (of a validation or an epoch) after which a log file gets a line."""


@contextlib.contextmanager
def open_sinks(directory: ModelDirectory, tensorboard: bool, on_event: Sink | None = None) -> Iterator[Sink]:
    """One sink that gives each event to all: the files of a model directory, the console and ``on_event``.

    Raises:
        UserError: the log can't be written, or TensorBoard isn't installed.
    """
    with contextlib.ExitStack() as stack:
        ours: list[MetricsFile | TensorBoard | ConsoleSink] = [MetricsFile(directory.metrics), ConsoleSink()]
        if tensorboard:
            ours.append(TensorBoard(directory.tensorboard))
        for sink in ours:
            stack.callback(sink.close)
        sinks: list[Sink] = [*ours, SampleFiles(directory.samples), *([on_event] if on_event is not None else [])]

        def emit(event: Event) -> None:
            for sink in sinks:
                sink(event)

        yield emit


class MetricsFile:
    """Appends the events that have a name to ``metrics.jsonl``, one JSON object a line.

    A resumed run continues in the same file. Lines about updates after its checkpoint are dropped, because the run
    computes these again; so are a line that a kill cut off and the end of the earlier run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._open()

    def _open(self) -> TextIO:
        try:
            return self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._go_back(event.step, event.validation_due)
        if not is_logged(event):
            return
        # JSON has no NaN and no infinity.
        figures = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in event.figures().items()}
        line = {"event": event.name, "step": event.step, "seconds": round(event.seconds, 3), **figures}
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()  # so that nothing is lost, and others can watch
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def _go_back(self, step: int, validation_due: bool) -> None:
        if not self._path.is_file():  # a device
            return
        with self._path.open(encoding="utf-8", errors="replace") as written:
            lines = written.readlines()
        kept = [line for line in lines if _is_before(line, step, validation_due)]
        if kept != lines:
            self._file.close()
            with open_output(self._path) as file:
                file.writelines(kept)
            self._file = self._open()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk was reported when the line was written
            self._file.close()


def is_logged(event: Event) -> bool:
    """Whether ``metrics.jsonl`` has a line for it."""
    return bool(event.name) and not (isinstance(event, Started) and not event.step)


def _is_before(line: str, step: int, validation_due: bool) -> bool:
    """Whether a line of the log was written by a given update or before, and isn't written again."""
    try:
        event = json.loads(line)
        is_repeated = validation_due and event["event"] == "valid" and event["step"] == step
        return bool(line.endswith("\n") and event["step"] <= step and event["event"] != "end" and not is_repeated)
    except (ValueError, KeyError, TypeError):
        return False


class SampleFiles:
    """Writes the sample translations of each validation to ``samples/step-NNNNNN.txt``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            for path in self._folder.glob("step-*.txt"):
                number = path.stem.removeprefix("step-")
                if number.isdecimal() and int(number) > event.step:
                    path.unlink()
        elif isinstance(event, Validated) and event.samples:
            path = self._folder / f"step-{event.step:06d}.txt"
            try:
                self._folder.mkdir(exist_ok=True)
                with open_output(path) as file:
                    file.write("\n".join(map(_sample_text, event.samples)))
            except OSError as error:
                raise cannot_write(path, error) from None


def _sample_text(sample: Sample) -> str:
    return f"source:      {sample.source}\ntranslation: {sample.translation}\nreference:   {sample.reference}\n"


def read_samples(directory: Path) -> list[str]:
    """The source sentences of a model directory's newest samples; none where there are no samples."""
    files = ModelDirectory(directory)
    files.check_files()
    newest = max(files.samples.glob("step-*.txt"), default=None)
    lines = newest.read_text(encoding="utf-8").split("\n") if newest is not None else []
    return [line.removeprefix("source:").strip() for line in lines if line.startswith("source:")]


class TensorBoard:
    """Writes what ``metrics.jsonl`` has, and the samples as text, for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "training.tensorboard is on, but tensorboard isn't installed.",
                "pip install 'nmt[tensorboard]', or --set training.tensorboard=false.",
            ) from None
        self._folder, self._make = folder, SummaryWriter
        self._board: Any = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._board = self._make(str(self._folder), purge_step=event.step + 1)
        if not is_logged(event):
            return
        for name, value in {"seconds": round(event.seconds, 3), **event.figures()}.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{event.name}/{name}", value, event.step)
            elif value is not None:
                self._board.add_text(f"{event.name}/{name}", str(value), event.step)
        if isinstance(event, Validated) and event.samples:
            # The board reads Markdown, in which indented text is shown as it is.
            lines = "\n".join(map(_sample_text, event.samples)).split("\n")
            self._board.add_text("samples", "\n".join(f"    {line}" if line else "" for line in lines), event.step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


class ConsoleSink:
    """Shows a run: messages, and the latest update as a bar on a terminal, in a log file as a line now and then."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._started: Started | None = None
        self._bar: Bar | None = None

    def __call__(self, event: Event) -> None:
        clock, step = clock_text(event.seconds), event.step
        match event:
            case Started():
                self._started = event
                ends = bool(event.total_steps or event.max_minutes)
                self._bar = self._stack.enter_context(progress_bar("training", 1.0 if ends else None))
                if step:
                    say(f"resumed at step {step}")
            case Updated():
                self._show(event)
            case events.EpochEnded():
                say(f"{clock}  epoch {event.epoch} done at step {step}, padding {event.padding:.1%}")
            case Validated():
                score = f"{score_text(event.metric, event.score)}, " if event.score is not None else ""
                best = "  (best)" if event.best else ""
                say(f"{clock}  step {step}: validation {score}loss {event.loss:.3f}{best}")
            case events.Skipped() if event.scale is None:
                wrong = "gradient" if math.isfinite(event.loss) else "loss"
                warn(f"the {wrong} of update {step} is not finite: the update is left out.")
            case events.OutOfMemory():
                warn(
                    f"out of memory in update {step}: {event.sentences} sentence pairs of up to "
                    f"{event.source_length:,} source and {event.target_length:,} target positions don't fit and are "
                    "split in two. If this happens often, lower training.batch_tokens or data.max_length."
                )
            case events.Diverged():
                best = f" The best model, of step {event.best_step}, is kept." if event.best_step else ""
                warn(
                    f"the training loss has diverged: it was down to {event.lowest:.2f} and has been more than "
                    f"{RISE:g} above that for long (now {event.average:.2f}). Stop and train anew with a lower "
                    "training.learning_rate, more training.schedule.warmup_steps or a smaller training.clip_norm."
                    f"{best}"
                )
            case events.Warned():
                warn(event.message)

    def _show(self, event: Updated) -> None:
        assert self._started is not None
        assert self._bar is not None
        if draws_bars():
            text = f"epoch {event.epoch + 1}  loss {event.loss:.3f}  {event.tokens_per_second:,.0f} tokens/s"
            if event.best is not None:
                text += f"  best {score_text(event.metric, event.best)}"
            if event.skipped:
                text += f"  {event.skipped} skipped"
            done = fraction_done(self._started, event)
            # A bar without an end counts the updates itself.
            self._bar.update(*((event.step, text) if done is None else (done, f"step {event.step:,}  {text}")))
        elif silent_for() >= SILENCE:
            left, total = seconds_left(self._started, event), self._started.total_steps
            place = f"{event.step:,}" + (f" of {total:,}" if total else "")
            say(
                f"{clock_text(event.seconds)}  step {place}, epoch {event.epoch + 1}: loss {event.loss:.3f}, "
                f"{event.tokens_per_second:,.0f} tokens/s"
                + ("" if left is None else f", about {duration_text(left)} left")
            )

    def close(self) -> None:
        self._stack.close()


def fraction_done(run: Started, now: Event) -> float | None:
    """How much of a run is over, by the end that is nearest; None where no end is known."""
    fractions = [now.step / run.total_steps] if run.total_steps else []
    fractions += [now.seconds / (60 * run.max_minutes)] if run.max_minutes else []
    return min(1.0, max(fractions)) if fractions else None


def seconds_left(run: Started, now: Event) -> float | None:
    """At the speed of the whole run so far, with its validations; None where no end is known."""
    lefts = [(run.total_steps - now.step) * now.seconds / now.step] if run.total_steps and now.step else []
    lefts += [60 * run.max_minutes - now.seconds] if run.max_minutes else []
    return max(0.0, min(lefts)) if lefts else None


def clock_text(seconds: float) -> str:
    """Minutes and seconds, as wide in every line of a log."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes:3d}:{seconds:02d}"


def duration_text(seconds: float) -> str:
    """As exact as a forecast should be."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(1, minutes)} min"
