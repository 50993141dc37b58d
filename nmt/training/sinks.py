"""Sinks of the events of a run: metrics.jsonl, files of observers, samples/, tensorboard/ and the console."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

from nmt.core import console
from nmt.core.console import Bar, draws_bars, progress_bar, say, silent_for, warn
from nmt.core.files import explained
from nmt.core.jsonlines import parse_object
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import write_output
from nmt.metrics.table import score_text
from nmt.recipe.registry import provided
from nmt.training import events
from nmt.training.events import Event, Sample, Sink
from nmt.training.validation import OBSERVERS

SILENCE = (20.0, 60.0, 180.0)
"""Seconds without a message (of a validation or an epoch) after which a log file gets a line: its first one, its second
one, and later ones."""
MAX_OBSERVATIONS = 200
"""Lines of the file of an observer."""
MAX_BYTES = 1 << 28
"""Largest size of such a file; those of real runs are far below."""


@contextlib.contextmanager
def open_sinks(directory: ModelDirectory, tensorboard: bool, on_event: Sink | None = None) -> Iterator[Sink]:
    """Opens a sink that passes each event to the files of a model directory, the console and ``on_event``.

    Raises:
        UserError: TensorBoard isn't installed, or not the extension that writes for it.
    """
    with contextlib.ExitStack() as stack:
        sinks: list[Sink] = [metrics_file(directory.metrics), ConsoleSink(stack), sample_files(directory.samples)]
        if tensorboard:
            sinks.append(provided("TensorBoard", "training.tensorboard")(directory.tensorboard, stack))
        sinks += [observation_file(directory, name) for name in OBSERVERS]
        sinks += [on_event] if on_event is not None else []

        def emit(event: Event) -> None:
            for sink in sinks:
                sink(event)

        yield emit


def metrics_file(path: Path) -> Sink:
    """Returns a sink that appends the events that have a name to ``metrics.jsonl``, one JSON object a line.

    A resumed run continues in the same file. Lines about updates after its checkpoint are dropped, because the run
    computes these again; so are a line that a kill cut off and the end of the earlier run.
    """

    def write(event: Event) -> None:
        with explained(path):
            if isinstance(event, events.Started):
                _drop_lines_after(path, event, "valid")
                path.touch()
            if event.name:
                with path.open("a", encoding="utf-8") as file:  # closed, so that nothing is lost and others can watch
                    file.write(_line(event, event.name))

    return write


def _line(event: Event, name: str) -> str:
    figures = event.figures()
    for key, value in figures.items():
        if isinstance(value, float) and not math.isfinite(value):
            figures[key] = None  # JSON has no NaN and no infinity
    line = {"event": name, "step": event.step, "seconds": round(event.seconds, 3), **figures}
    return json.dumps(line, ensure_ascii=False) + "\n"


def _lines_of(path: Path) -> list[str]:
    if not path.is_file():  # missing, or a device
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readlines()


def _drop_lines_after(path: Path, start: events.Started, of_validation: str) -> None:
    """Leaves the lines of a log that are valid for a run that continues from ``start``.

    ``of_validation``: the event that a validation writes there, which it writes anew if it is repeated.
    """
    lines = _lines_of(path)
    kept = [line for line in lines if _is_before(line, start, of_validation)]
    if kept != lines:
        write_output(path, kept)


def _is_before(line: str, start: events.Started, of_validation: str) -> bool:
    try:
        event = parse_object(line)
        is_repeated = start.validation_due and event["event"] == of_validation and event["step"] == start.step
        return bool(line.endswith("\n") and event["step"] <= start.step and event["event"] != "end" and not is_repeated)
    except (ValueError, KeyError, TypeError):
        return False


def sample_files(folder: Path) -> Sink:
    """Returns a sink that writes the sample translations of each validation to ``samples/step-NNNNNN.txt``."""

    def write(event: Event) -> None:
        if isinstance(event, events.Started):
            for path in folder.glob("step-*.txt"):
                number = path.stem.removeprefix("step-")
                if number.isdecimal() and int(number) > event.step:
                    path.unlink()
        elif isinstance(event, events.Validated) and event.samples:
            path = folder / f"step-{event.step:06d}.txt"
            with explained(path):
                folder.mkdir(exist_ok=True)
                write_output(path, "\n".join(map(sample_text, event.samples)))

    return write


def sample_text(sample: Sample) -> str:
    """Returns a sample translation for a file."""
    return f"source:      {sample.source}\ntranslation: {sample.translation}\nreference:   {sample.reference}\n"


def observation_file(directory: ModelDirectory, name: str) -> Sink:
    """Returns a sink that writes the observations of an observer to ``NAME.jsonl``, one JSON object a line.

    Of more than ``MAX_OBSERVATIONS`` those are left out that stand closest to the ones beside them, so that a long run
    is covered evenly. A resumed run continues in the same file, like ``metrics.jsonl``.
    """
    path = directory.file(f"{name}.jsonl", MAX_BYTES)

    def write(event: Event) -> None:
        with explained(path):
            if isinstance(event, events.Started):
                _drop_lines_after(path, event, name)
            elif isinstance(event, events.Observed) and event.observer == name:
                lines = [*_lines_of(path), _line(event, name)]
                while len(lines) > MAX_OBSERVATIONS:
                    steps = [parse_object(line)["step"] for line in lines]
                    del lines[min(range(1, len(lines) - 1), key=lambda i: steps[i + 1] - steps[i - 1])]
                write_output(path, lines)

    return write


class ConsoleSink:
    """Shows a run: messages, and the latest update as a bar on a terminal, in a log file as a line now and then."""

    _bar: Bar
    _run: events.Started

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack, self._num_lines = stack, 0

    def __call__(self, event: Event) -> None:
        clock, step = clock_text(event.seconds), event.step
        match event:
            case events.Started():
                self._run = event
                ends = bool(event.total_steps or event.max_minutes)
                self._bar = self._stack.enter_context(progress_bar("training", 1.0 if ends else None))
                if step:
                    say(f"resumed at step {step}")
            case events.Updated():
                self._show(event)
            case events.EpochEnded() if silent_for() >= 5.0:  # one of a short text takes a second
                say(f"{clock}  epoch {event.epoch} done at step {step}, padding {event.padding:.1%}")
            case events.StageBegan():
                say(f"{clock}  stage {event.stage} begins after step {step}")
            case events.Validated():
                of_end = " ({:.0f} expected at the end)"  # a bar has no room for it
                score = f"{self._scored(event.metric, event.score, of_end)}, " if event.score is not None else ""
                best = "  (best)" if event.best else ""
                say(f"{clock}  step {step}: validation {score}loss {event.loss:.3f}{best}")
            case events.Warned() if event.message:
                warn(event.message)

    def _scored(self, metric: str, score: float, expected: str = " of {:.0f}") -> str:
        at_the_end = self._run.expected_score
        return score_text(metric, score) + ("" if at_the_end is None else expected.format(at_the_end))

    def _show(self, event: events.Updated) -> None:
        done = fraction_done(self._run, event)
        if draws_bars():
            text = f"epoch {event.epoch + 1}  loss {event.loss:.3f}"
            if console.stderr.width >= console.ROOMY:  # the minutes that are left must have room
                text += f"  {event.tokens_per_second:,.0f} tokens/s"
            if event.best is not None:
                text += f"  best {self._scored(event.metric, event.best)}"
            if event.skipped:
                text += f"  {event.skipped} skipped"
            # A bar without an end counts the updates itself.
            self._bar.update(*((event.step, text) if done is None else (done, f"step {event.step:,}  {text}")))
        elif silent_for() >= SILENCE[min(self._num_lines, len(SILENCE) - 1)]:
            self._num_lines += 1
            total = f" of {self._run.total_steps:,}" if self._run.total_steps else ""
            left = f", about {duration_text(event.seconds / done - event.seconds)} left" if done else ""
            say(
                f"{clock_text(event.seconds)}  step {event.step:,}{total}, epoch {event.epoch + 1}: "
                f"loss {event.loss:.3f}, {event.tokens_per_second:,.0f} tokens/s{left}"
            )


def fraction_done(run: events.Started, now: Event) -> float | None:
    """Returns the fraction of a run that is done, by the nearest limit; None without a limit."""
    fractions = [now.step / run.total_steps] if run.total_steps else []
    fractions += [now.seconds / (60 * run.max_minutes)] if run.max_minutes else []
    return min(1.0, max(fractions)) if fractions else None


def clock_text(seconds: float) -> str:
    """Returns minutes and seconds with a fixed width."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes:3d}:{seconds:02d}"


def duration_text(seconds: float) -> str:
    """Returns hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(1, minutes)} min"
