"""The loss that runs away is noticed, and nothing else is taken for it."""

import math
import random
from pathlib import Path

import pytest
from fixture_types import RecipeMaker
from run_files import read_metrics

from nmt.training.meter import HORIZON, LONG, Divergence, Meter, Update
from nmt.training.optimization import InverseSqrt
from nmt.training.run import train


def learning_curve(step: int) -> float:
    """From 9 nats down to 2, as in a common run."""
    return 2 + 7 * math.exp(-step / 400)


def noticed(losses: list[float]) -> list[int]:
    """The updates, from 1, at which a divergence was said."""
    divergence = Divergence()
    return [step for step, loss in enumerate(losses, start=1) if divergence.update(loss)]


@pytest.mark.parametrize("deviation", [0.05, 0.5, 1.5], ids=["large batches", "small batches", "single sentences"])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_divergence(deviation: float, seed: int) -> None:
    rng = random.Random(seed)
    assert noticed([max(0.0, learning_curve(step) + rng.gauss(0, deviation)) for step in range(30_000)]) == []


def test_what_happens_in_good_runs_is_no_divergence() -> None:
    rng = random.Random(1)
    outliers = [15.0 if rng.random() < 0.02 else learning_curve(step) for step in range(20_000)]
    assert noticed(outliers) == []
    bump = [learning_curve(step) + (4.0 if 5000 <= step < 5000 + LONG // 2 else 0.0) for step in range(10_000)]
    assert noticed(bump) == [], "it recovered by itself"
    harder = [learning_curve(step) + (0.6 if step > 5000 else 0.0) for step in range(10_000)]
    assert noticed(harder) == []
    assert noticed([9.0 - 0.0001 * step for step in range(10_000)]) == []


@pytest.mark.parametrize("level", [3.5, 6.0, 300.0])
def test_a_loss_that_rises_and_stays_is_noticed_once(level: float) -> None:
    rng = random.Random(1)
    losses = [learning_curve(step) if step < 5000 else level + rng.gauss(0, 0.3) for step in range(9000)]
    (step,) = noticed(losses)
    assert 5000 + LONG <= step <= 5000 + LONG + 2 * HORIZON


def test_a_run_says_that_its_loss_ran_away(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A schedule that jumps to a rate far too high in the middle of a run."""
    monkeypatch.setattr("nmt.training.meter.HORIZON", 4)
    monkeypatch.setattr("nmt.training.meter.LONG", 8)
    monkeypatch.setattr(InverseSqrt, "at", lambda self, step: 0.01 if step < 40 else 3.0)
    train(make_recipe(max_steps=70, validate_every=35, clip_norm=None), tmp_path)
    (line,) = read_metrics(tmp_path, "diverged")
    assert 48 <= line["step"] < 65
    message = " ".join(capsys.readouterr().err.split())
    assert "the training loss has diverged: it was down to" in message
    assert "lower training.learning_rate" in message
    assert "The best model, of step 35, is kept." in message


def test_the_warm_up_is_not_watched(make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    monkeypatch.setattr(Divergence, "update", lambda self, loss: losses.append(loss))
    train(make_recipe(max_steps=5, validate_every=9, schedule={"warmup_steps": 3}), tmp_path)
    assert len(losses) == 2


def test_figures_are_means_over_all_updates_since_the_last_ones() -> None:
    meter = Meter()
    meter.count(Update(1, 0, tokens=10, positions=16, padding=2), loss=2.0, gradient_norm=1.0)
    meter.count(Update(2, 0, tokens=30, positions=48, padding=6), loss=4.0, gradient_norm=2.0, extra={"ponder": 8.0})
    assert meter.loss == 3.5
    figures = meter.take()
    assert [figures[name] for name in ("loss", "gradient_norm", "padding")] == [3.5, 1.5, 0.125]
    assert figures["extra"] == {"ponder": 0.2}
    assert meter.take() == {}
    assert meter.end_epoch() == 0.125
