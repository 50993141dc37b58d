"""How a run shows itself: figures of a bar, lines of a log file, silence where it is asked for."""

import io
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RecipeMaker
from rich.console import Console

from nmt.core import console
from nmt.core.console import say
from nmt.metrics.degenerate import DegenerateCount
from nmt.training import sinks as sinks_module
from nmt.training.events import Started, Updated, Validated
from nmt.training.run import train
from nmt.training.sinks import ConsoleSink, clock_text, duration_text, fraction_done


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Terminal]:
    """``terminal(width)`` puts a terminal in the place of stderr and gives what is written to it."""

    def make(width: int) -> Terminal:
        file = Terminal()
        made = Console(file=file, width=width, force_terminal=True, highlight=False, _environ={"TERM": "xterm"})
        monkeypatch.setattr(console, "stderr", made)
        return file

    return make


def started(total_steps: int | None = None, max_minutes: float | None = None) -> Started:
    return Started(step=0, seconds=0.0, total_steps=total_steps, max_minutes=max_minutes)


def updated(step: int, seconds: float, **values: Any) -> Updated:
    figures = {"epoch": 2, "loss": 3.25, "tokens_per_second": 4321.0, "skipped": 0, "metric": "bleu", "best": None}
    return Updated(step=step, seconds=seconds, **(figures | values))


def test_the_nearest_end_decides_what_is_done() -> None:
    now = updated(100, 50.0)
    assert fraction_done(started(400), now) == 0.25
    assert fraction_done(started(None, 5), now) == pytest.approx(1 / 6)
    assert fraction_done(started(400, 1), now) == pytest.approx(5 / 6)
    assert fraction_done(started(), now) is None


def test_a_log_file_gets_lines_after_ever_longer_silences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    written: list[str] = []
    with ExitStack() as stack:
        show = ConsoleSink(stack)
        show(started(40_000))
        say("an epoch is done")
        capsys.readouterr()
        for step in range(1, 101):  # an update takes 5 seconds
            now += 5
            show(updated(step, 5.0 * step))
            written += capsys.readouterr().err.splitlines()
    assert written == [
        "  0:20  step 4 of 40,000, epoch 3: loss 3.250, 4,321 tokens/s, about 55 h 33 min left",
        "  1:20  step 16 of 40,000, epoch 3: loss 3.250, 4,321 tokens/s, about 55 h 32 min left",
        "  4:20  step 52 of 40,000, epoch 3: loss 3.250, 4,321 tokens/s, about 55 h 29 min left",
        "  7:20  step 88 of 40,000, epoch 3: loss 3.250, 4,321 tokens/s, about 55 h 26 min left",
    ]


def test_the_score_is_shown_beside_the_one_that_is_expected(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"loss": 1.5, "metric": "chrf", "degenerate": DegenerateCount(), "best": True}
    with ExitStack() as stack:
        show = ConsoleSink(stack)
        show(replace(started(40), expected_score=62.6))
        show(Validated(step=10, seconds=5.0, score=41.25, **figures))
    assert "step 10: validation chrF2 41.25 of 63, loss 1.500  (best)" in capsys.readouterr().err


def test_a_log_file_never_gets_control_codes(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in many a CI; it asks for colours, not for bars in a file
    monkeypatch.setattr(sinks_module, "SILENCE", [0.0])
    train(make_recipe(max_steps=4), tmp_path)
    written = capsys.readouterr().err
    assert "step 3 of 4, epoch 1: loss" in written
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", written)


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_the_figures_and_the_time_left(terminal: Callable[[int], Terminal], width: int) -> None:
    file = terminal(width)
    with ExitStack() as stack:
        show = ConsoleSink(stack)
        show(replace(started(40_000), expected_score=37.6))
        show(updated(12_000, 100.0, epoch=7, loss=3.456, tokens_per_second=13_210.0, best=31.234))
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    for shown in ("step 12,000", "epoch 8", "loss 3.456", "best BLEU 31.23 of 38", "30 %", "left -:--:--"):
        assert shown in last, (shown, last)
    assert "…" not in last
    for shown in ("━━━", "13,210 tokens/s"):
        assert (shown in last) == (width == 160), "a narrow terminal has room for some figures only"


@pytest.mark.parametrize(
    ("seconds", "clock", "duration"),
    [(5, "  0:05", "1 min"), (600, " 10:00", "10 min"), (3599, " 59:59", "1 h 00 min"), (9000, "150:00", "2 h 30 min")],
)
def test_times_are_as_exact_as_they_should_be(seconds: float, clock: str, duration: str) -> None:
    assert (clock_text(seconds), duration_text(seconds)) == (clock, duration)
