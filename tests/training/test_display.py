"""How a run shows itself: figures of a bar, lines of a log file, silence where it is asked for."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from nmt import console
from nmt.config import Recipe, TrainingOptions
from nmt.console import progress_bar, say
from nmt.training import display as display_module
from nmt.training.checkpointing.state import Progress
from nmt.training.display import TrainingDisplay, clock_text, duration_text, training_display
from nmt.training.run import train

RecipeMaker = Callable[..., Recipe]


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


@pytest.fixture
def make_display() -> Callable[..., TrainingDisplay]:
    def make(total_steps: int | None = None, **options: object) -> TrainingDisplay:
        given = TrainingOptions(**({"patience": 3} | options))  # type: ignore[arg-type]
        with training_display(given, total_steps) as display:
            return display

    return make


def test_the_nearest_end_decides_what_is_done_and_left(make_display: Callable[..., TrainingDisplay]) -> None:
    progress = Progress(step=100, seconds=50.0)
    by_steps, by_time = make_display(400), make_display(max_minutes=5)
    assert (by_steps.done(progress), by_steps.seconds_left(progress)) == (0.25, 150)
    assert (by_time.done(progress), by_time.seconds_left(progress)) == (pytest.approx(1 / 6), 250)
    both = make_display(400, max_minutes=1)
    assert (both.done(progress), both.seconds_left(progress)) == (pytest.approx(5 / 6), 10)
    neither = make_display()
    assert (neither.done(progress), neither.seconds_left(progress)) == (None, None)
    assert make_display(400).seconds_left(Progress()) is None, "nothing is known before the first update"


def test_a_log_file_gets_a_line_only_after_a_silence(
    make_display: Callable[..., TrainingDisplay], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    display, progress = make_display(40_000), Progress(step=1200, seconds=600.0)
    say("an epoch is done")
    capsys.readouterr()
    display.update(progress, 2, 3.25, 4321.0)
    assert capsys.readouterr().err == ""
    now += display_module.SILENCE
    display.update(progress, 2, 3.25, 4321.0)
    display.update(progress, 2, 3.25, 4321.0)
    expected = " 10:00  step 1,200 of 40,000, epoch 3: loss 3.250, 4,321 tokens/s, about 5 h 23 min left\n"
    assert capsys.readouterr().err == expected, "one line, which itself breaks the silence"


def test_a_log_file_never_gets_control_codes(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in many a CI; it asks for colours, not for bars in a file
    monkeypatch.setattr(display_module, "SILENCE", 0.0)
    train(make_recipe(max_steps=4), tmp_path)
    written = capsys.readouterr().err
    assert "step 3 of 4, epoch 1: loss" in written
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", written)


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_the_figures_and_the_time_left(terminal: Callable[[int], Terminal], width: int) -> None:
    file = terminal(width)
    options = TrainingOptions(max_steps=40_000)
    with training_display(options, 40_000) as display:
        display.update(Progress(step=12_000, seconds=100.0, best=31.234, best_step=9), 7, 3.456, 13_210.0)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    for shown in ("step 12,000", "epoch 8", "loss 3.456", "13,210 tokens/s", "BLEU 31.23", "30 %", "left"):
        assert shown in last, (shown, last)
    assert ("━━━" in last) == (width == 160), "a narrow terminal has room for the figures only"


def test_bars_are_silent_with_quiet_and_in_files(
    terminal: Callable[[int], Terminal], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("working", 10) as bar:
        bar.advance(3)
    assert capsys.readouterr().err == ""
    file = terminal(80)
    monkeypatch.setattr(console, "_quiet", True)
    with progress_bar("working", 10) as bar:
        bar.advance(3)
    assert file.getvalue() == ""


def test_a_count_without_an_end_is_shown_without_one(terminal: Callable[[int], Terminal]) -> None:
    file = terminal(80)
    with progress_bar("reading", None) as bar:
        bar.update(12_345)
    assert "12,345" in file.getvalue()
    assert "?" not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


@pytest.mark.parametrize(
    ("seconds", "clock", "duration"),
    [(5, "  0:05", "1 min"), (600, " 10:00", "10 min"), (3599, " 59:59", "1 h 00 min"), (9000, "150:00", "2 h 30 min")],
)
def test_times_are_as_exact_as_they_should_be(seconds: float, clock: str, duration: str) -> None:
    assert (clock_text(seconds), duration_text(seconds)) == (clock, duration)
