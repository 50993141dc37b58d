"""Runs that end after some minutes: the learning rate falls to its end in time, and the recipe repeats the run."""

from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from saved_weights import changed, weights

import nmt
from nmt.training import trainer
from nmt.training.checkpoint import CheckpointFolder, step_of
from nmt.training.events import Event, Started, Updated
from nmt.training.optimization import Cosine

MINUTES = {
    "training.max_epochs": None, "training.max_steps": None, "training.max_minutes": 0.05,
    "training.schedule": {"type": "cosine", "stable_fraction": 0.5, "warmup_steps": 2}, "training.validate_every": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that each reading advances: runs have as many updates on a busy machine as on another."""
    readings = count()
    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: 0.1 * next(readings)))


def simulated(seconds_of: Callable[[int], float], limit: float) -> tuple[Cosine, list[float]]:
    """A schedule, and its rates in a run whose updates take some time."""
    schedule = Cosine(Cosine.Options(stable_fraction=0.6, warmup_steps=10), 1.0, None)
    rates, seconds, step = list[float](), 0.0, 0
    while seconds < limit and not schedule.end:
        step += 1
        rates.append(schedule.at(step))
        seconds += seconds_of(step)
        schedule.after_update(step, seconds, limit)
    assert seconds == pytest.approx(limit, rel=0.02)
    return schedule, rates


@pytest.mark.parametrize(
    ("seconds_of", "num_updates"),
    [
        (lambda step: 1.0, 1000),
        (lambda step: 1.0 if step < 500 else 2.0, 750),
        (lambda step: 1.0 if step < 800 else 0.5, 1200),
        (lambda step: 1.0 + 30 * (step % 100 == 0), 770),
    ],
)
def test_the_rate_falls_to_its_end_in_time_whatever_the_speed(
    seconds_of: Callable[[int], float], num_updates: int
) -> None:
    schedule, rates = simulated(seconds_of, 1000.0)
    assert len(rates) == pytest.approx(num_updates, rel=0.03)
    assert rates[9] == 1.0
    assert rates[int(0.4 * num_updates)] == 1.0
    assert rates[-1] < 0.01
    falls = [before - after for before, after in pairwise(rates[9:])]
    assert min(falls) >= 0
    assert max(falls) < 0.02
    repeated = Cosine(schedule.options.model_copy(update={"lengths": schedule.lengths}), 1.0, None)
    assert [repeated.at(step) for step in range(1, len(rates) + 1)] == rates
    assert sum(schedule.begins_to_fall(step) for step in range(len(rates))) == 1


def test_the_recipe_of_a_run_repeats_it_and_more_minutes_continue_before_the_rate_fell(
    tiny_recipe: Path, tmp_path: Path
) -> None:
    run = nmt.train(str(tiny_recipe), tmp_path / "run", overrides=MINUTES)
    recipe = nmt.load_recipe(run / "recipe.yaml")
    assert recipe.training.max_minutes is None
    assert recipe.training.schedule["lengths"]
    assert not changed(weights(run), weights(nmt.train(run / "recipe.yaml", tmp_path / "repeated")))

    (before_fall,) = CheckpointFolder(run).before_fall()
    assert before_fall != CheckpointFolder(run).all()[-1]
    seen: list[Event] = []
    longer = {**MINUTES, "training.max_minutes": 0.08}
    nmt.train(str(tiny_recipe), run, overrides=longer, resume=True, on_event=seen.append)
    assert [event.step for event in seen if isinstance(event, Started)] == [step_of(before_fall)]


def test_a_run_that_was_stopped_goes_on_and_its_recipe_repeats_it(tiny_recipe: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    updates = 0

    def stop(event: Event) -> None:
        nonlocal updates
        updates += isinstance(event, Updated)
        if updates == 5:
            raise StopError

    overrides = {**MINUTES, "training.checkpoint_every": 2}
    with pytest.raises(StopError):
        nmt.train(str(tiny_recipe), tmp_path / "run", overrides=overrides, on_event=stop)
    run = nmt.train(str(tiny_recipe), tmp_path / "run", overrides=overrides, resume=True)
    assert not changed(weights(run), weights(nmt.train(run / "recipe.yaml", tmp_path / "repeated")))
