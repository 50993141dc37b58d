"""Trainings and translations that go on where they were stopped: what comparisons of systems share."""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nmt
from nmt.core.console import progress_bar, say, show_error
from nmt.core.text import read_lines
from nmt.jobs.run import ResumableOutput
from nmt.jobs.run import run as run_job
from nmt.recipe.load import parse_settings
from nmt.training.distributed import Interrupted
from nmt.translation.job import TranslationJob


def train(recipe: str, run: Path, settings: Sequence[str]) -> None:
    """Train a model directory if it isn't yet; a file ``done`` in it tells that it is."""
    if not (run / "done").exists():
        nmt.train(recipe, run, overrides=parse_settings(settings), resume=True)
        (run / "done").touch()


def translate(run: Path, lines: Sequence[str], output: Path) -> list[str]:
    """Translations of the lines by the model's own decoding, made if they aren't in a file yet."""
    if not output.exists():
        job = TranslationJob(nmt.load(run), lambda made: made.text)
        with progress_bar(f"translating {output}", len(lines)) as bar:

            def on_start(num_done: int, num_again: int) -> None:
                bar.advance(num_done - num_again)

            deque(run_job(job, iter(lines), ResumableOutput(output), True, on_start, bar.advance), maxlen=0)
    return list(read_lines(output))


@contextmanager
def exit_codes() -> Iterator[None]:
    """Bad input and signals as a message and an exit code, as those of ``nmt``: 2, 130 for Ctrl-C, 143 for SIGTERM."""
    try:
        yield
    except nmt.UserError as error:
        show_error(error)
        sys.exit(2)
    except Interrupted as stop:
        say(f"{stop}: stopped, checkpoint saved; the same command goes on")
        sys.exit(128 + stop.signal_number)
    except KeyboardInterrupt:
        say("stopped; the same command goes on")
        sys.exit(130)
