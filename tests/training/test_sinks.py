"""The files that a run writes while it trains, the events that a program gets, and how a run shows itself."""

import io
import json
import re
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RecipeMaker
from rich.console import Console
from run_files import read_metrics

from nmt.core import console
from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.metrics.degenerate import DegenerateCount
from nmt.training import sinks
from nmt.training.events import EpochEnded, Event, Observed, Saved, Started, TrainingLoss, Updated, Validated
from nmt.training.run import train
from nmt.training.sinks import ConsoleSink, clock_text, duration_text, fraction_done, open_sinks


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with (
        pytest.raises(UserError, match=r"metrics\.jsonl can't be written: no space left on device"),
        open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit,
    ):
        emit(Started(name="resume", step=2, seconds=0.0, total_steps=9, max_minutes=None))


def test_a_program_gets_every_event_in_order(make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path) -> None:
    seen: list[Event] = []
    train(make_recipe(max_steps=8, validate_every=4, metric="bleu"), tmp_path, on_event=seen.append)
    kinds = [type(event).__name__ for event in seen]
    assert (kinds[0], kinds[-1]) == ("Started", "Ended")
    assert kinds.count("Updated") == 8
    assert kinds.count("EpochEnded") == 1
    logged = [(event.name, event.step) for event in seen if event.name]
    assert logged == [(line["event"], line["step"]) for line in read_metrics(tmp_path)]
    losses = [event.loss for event in seen if isinstance(event, TrainingLoss)]
    assert losses == [line["loss"] for line in read_metrics(tmp_path, "train")]
    validations = [event for event in seen if isinstance(event, Validated)]
    assert [event.step for event in validations] == [4, 8]
    assert validations[1].samples[0].reference == (tiny_corpus / "val.en").read_text("utf-8").split("\n")[0]
    assert validations[1].score is not None
    assert [event.checkpoint.name for event in seen if isinstance(event, Saved)] == ["step-000004", "step-000008"]
    resumed: list[Event] = []
    train(make_recipe(max_steps=9, validate_every=4, metric="bleu"), tmp_path, resume=True, on_event=resumed.append)
    assert isinstance(resumed[0], Started)
    assert {event.step for event in resumed} == {8, 9}


@pytest.mark.extension("lecture")
def test_a_film_of_a_long_run_is_covered_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last validation are there, and no two frames are far apart."""
    monkeypatch.setattr(sinks, "MAX_OBSERVATIONS", 20)
    with open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit:
        for step in range(1, 151):
            emit(Observed(step=step, seconds=1.0, observer="film", values={"gradients": [1.0]}))
    lines = [json.loads(line) for line in (tmp_path / "film.jsonl").read_text("utf-8").splitlines()]
    assert lines[0] == {"event": "film", "step": 1, "seconds": 1.0, "gradients": [1.0]}
    steps = [line["step"] for line in lines]
    assert len(steps) == 20
    assert (steps[0], steps[-1]) == (1, 150)
    gaps = [after - before for before, after in pairwise(steps)]
    assert max(gaps) <= 2 * 150 / 20
    assert not (tmp_path / "metrics.jsonl").exists()


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


def test_short_epochs_give_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with ExitStack() as stack:
        show = ConsoleSink(stack)
        say("begins")
        for epoch in range(1, 15):
            now += 1
            show(EpochEnded(step=10 * epoch, seconds=epoch, epoch=epoch, padding=0.1))
    assert re.findall(r"epoch (\d+) done", capsys.readouterr().err) == ["5", "10"]


def test_the_score_is_shown_beside_the_one_that_is_expected(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"loss": 1.5, "metric": "chrf", "degenerate": DegenerateCount(), "best": True}
    with ExitStack() as stack:
        show = ConsoleSink(stack)
        show(replace(started(40), expected_score=62.6))
        show(Validated(step=10, seconds=5.0, score=41.25, **figures))
    assert "step 10: validation chrF2 41.25 (63 expected at the end), loss 1.500  (best)" in capsys.readouterr().err


def test_a_log_file_never_gets_control_codes(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in many a CI; it asks for colours, not for bars in a file
    monkeypatch.setattr(sinks, "SILENCE", [0.0])
    train(make_recipe(max_steps=4), tmp_path)
    written = capsys.readouterr().err
    assert "step 3 of 4, epoch 1: loss" in written
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", written)


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_the_figures_and_the_time_left(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    file = io.StringIO()
    monkeypatch.setattr(file, "isatty", lambda: True)
    made = Console(file=file, width=width, force_terminal=True, highlight=False, _environ={"TERM": "xterm"})
    monkeypatch.setattr(console, "stderr", made)
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
