"""``nmt average`` as a user sees it."""

from pathlib import Path

import pytest
from fixture_types import RunNmt, TrainTiny


@pytest.fixture(scope="module")
def run(train_tiny: TrainTiny) -> Path:
    return train_tiny("training.max_steps=3", "training.checkpoint_every=1", "training.keep_last=3")


def test_the_mean_is_a_model_that_translates(run_nmt: RunNmt, run: Path, tmp_path: Path) -> None:
    done = run_nmt("average", run, "--last", 2, "-o", tmp_path / "mean")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"wrote {tmp_path / 'mean'}: the average of 2 checkpoints, steps 2, 3" in done.stderr.replace("\n", "")
    assert run_nmt("translate", tmp_path / "mean", stdin="Der Hund schläft.\n").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--last", "2"], "No output is named"),
        (["--last", "2", "--best", "2", "-o", "x"], "not clear what to average"),
        (["--steps", "1;2", "-o", "x"], "is not a list of numbers"),
        (["--origin", "0.5", "--last", "2", "-o", "x"], "--origin needs -o FOLDER"),
    ],
)
def test_wrong_usage_is_told(
    run_nmt: RunNmt, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_nmt("average", run, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
