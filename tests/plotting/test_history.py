"""Reading a run back from its log: whole, killed, resumed, damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.plotting.history import read_histories, read_history, short_names


def train_line(step: int, loss: float | None, **others: Any) -> dict[str, Any]:
    return {"event": "train", "step": step, "seconds": step * 6.0, "loss": loss, **others}


def valid_line(step: int, loss: float, bleu: float) -> dict[str, Any]:
    return {"event": "valid", "step": step, "seconds": step * 6.0 + 1, "loss": loss, "bleu": bleu}


def write_log(directory: Path, *lines: dict[str, Any] | str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (directory / "metrics.jsonl").write_text(text, encoding="utf-8")
    return directory


def test_the_figures_of_a_run(tmp_path: Path) -> None:
    run = write_log(
        tmp_path / "run",
        train_line(10, 5.0, tokens_per_second=100, padding=0.1, waiting_for_data=0.02, peak_memory_mb=300),
        train_line(20, 3.0, tokens_per_second=900, padding=0.3, waiting_for_data=0.04, peak_memory_mb=310),
        valid_line(20, 2.5, 11.0),
        {"event": "epoch", "step": 25, "seconds": 150.0, "epoch": 1},
        train_line(30, 3.5, tokens_per_second=200, padding=0.2, waiting_for_data=0.0, peak_memory_mb=305),
        valid_line(30, 2.75, 12.0),
        {"event": "end", "step": 30, "seconds": 181.0, "reason": "enough"},
    )
    found = read_history(run).summary()
    assert found == {
        "directory": str(run),
        "description": None,  # the log alone doesn't tell
        "parameters": None,
        "updates": 30,
        "epochs": 1,
        "minutes": 3.02,
        "training_loss": 3.5,
        "best_training_loss": 3.0,
        "validation_loss": 2.5,
        "validation_loss_step": 20,
        "bleu": 12.0,
        "bleu_step": 30,
        "tokens_per_second": 200,  # the median, not the mean
        "padding": 0.2,
        "waiting_for_data": 0.02,
        "peak_memory_mb": 310,
        "ended": "enough",
    }


def test_a_loss_that_was_not_finite_is_no_point_of_the_curve(tmp_path: Path) -> None:
    run = write_log(tmp_path / "run", train_line(10, None), train_line(20, 4.0))
    assert read_history(run).series("train", "loss") == ([20], [4.0])


def test_a_log_without_any_line_that_can_be_read_is_told(tmp_path: Path) -> None:
    run = write_log(tmp_path / "run", {**train_line(10, 5.0), "seconds": 1e308})
    with pytest.raises(UserError, match="holds no line that can be read as an event"):
        read_history(run)


def test_a_missing_or_empty_log_is_told_and_others_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "missing").mkdir()
    empty = write_log(tmp_path / "empty")
    with pytest.raises(UserError, match=r"(?s)missing.*can't be read.*nmt train"):
        read_histories([tmp_path / "missing"])
    with pytest.raises(UserError, match="holds no events"):
        read_history(empty)
    good = write_log(tmp_path / "good", train_line(10, 5.0))
    assert [history.directory for history in read_histories([empty, good, tmp_path / "missing"])] == [good]
    warnings = capsys.readouterr().err
    assert "empty" in warnings
    assert "missing" in warnings


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a", "runs/b"], ["a", "b"]),
        (["x/run", "y/run", "y/other"], ["x/run", "y/run", "y/other"]),
        (["x/run", "x/run"], ["run", "run"]),
    ],
)
def test_runs_are_named_by_as_little_as_tells_them_apart(tmp_path: Path, paths: list[str], names: list[str]) -> None:
    assert short_names([tmp_path / path for path in paths]) == names


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "train", "step": 1e400, "seconds": 1}',
        '{"event": "train", "step": 1, "seconds": 1e308}',
        '{"event": "train", "step": 1, "seconds": 1, "padding": 1e308}',
        '["event", "step"]',
        '{"event": "end", "step": "x", "seconds": 1, "reason": "enough"}',
    ],
)
def test_lines_with_impossible_figures_are_left_out(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read_history(write_log(tmp_path / "run", train_line(10, 5.0, padding=0.1), line, line)).summary()
    assert (found["updates"], found["minutes"], found["training_loss"], found["padding"]) == (10, 1.0, 5.0, 0.1)
    assert "left out 2 lines that can't be read as events, the first on line 2" in capsys.readouterr().err
