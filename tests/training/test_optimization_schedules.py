"""Learning rates against their formulas, what validation does to them, and runs that end after some minutes."""

import math
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from saved_weights import changed, weights

import nmt
from nmt.core.errors import UserError
from nmt.training import trainer
from nmt.training.checkpoint import CheckpointFolder, step_of
from nmt.training.events import Event, Started, Updated
from nmt.training.optimization import SCHEDULE, SCHEDULES, Cosine, Schedule


def make(total_steps: int | None = None, *, schedule: str, **options: Any) -> Schedule:
    chosen = SCHEDULES.choose({"type": schedule, **options}, SCHEDULE)
    return chosen.component(chosen.options, 0.002, total_steps)


@pytest.mark.parametrize("schedule", ["constant", "inverse_sqrt", "cosine", "plateau"])
def test_warm_up_is_linear_and_ends_at_the_peak(schedule: str) -> None:
    rate = make(1000, schedule=schedule, warmup_steps=100)
    assert [rate.at(step) for step in (1, 25, 50, 100)] == pytest.approx([0.002 / 100, 0.0005, 0.001, 0.002])
    assert all(rate.at(step) <= 0.002 for step in range(1, 1001))


@pytest.mark.parametrize("step", [1, 7, 399, 400, 401, 10_000])
def test_inverse_square_root_is_that_of_the_paper(step: int) -> None:
    """Vaswani et al. 2017, equation 3, scaled so that its peak is the learning rate."""
    warmup = 400
    equation_3 = min(step**-0.5, step * warmup**-1.5)
    expected = 0.002 * equation_3 / warmup**-0.5
    assert make(schedule="inverse_sqrt", warmup_steps=warmup).at(step) == pytest.approx(expected)


QUARTER = 0.0004 + 0.0016 * (1 + math.cos(math.pi / 4)) / 2
"""After a quarter of the fall from 0.002 to 0.0004."""


@pytest.mark.parametrize(
    ("total", "stable", "rates"),
    [
        (1100, 0.0, {100: 0.002, 350: QUARTER, 600: 0.0012, 1100: 0.0004, 5000: 0.0004}),
        (1000, 0.4, {50: 0.001, 100: 0.002, 250: 0.002, 400: 0.002, 550: QUARTER, 700: 0.0012, 1000: 0.0004}),
    ],
)
def test_cosine_falls_to_the_lowest_rate_at_the_last_update(total: int, stable: float, rates: dict[int, float]) -> None:
    rate = make(total, schedule="cosine", warmup_steps=100, stable_fraction=stable, min_learning_rate=0.0004)
    assert {step: rate.at(step) for step in rates} == pytest.approx(rates)
    falling = [rate.at(step) for step in range(100, total + 1)]
    assert falling == sorted(falling, reverse=True)


def test_plateau_falls_after_its_patience_and_a_gain_begins_it_anew() -> None:
    rate = make(schedule="plateau", warmup_steps=0, factor=0.5, patience=2)
    seen = []
    for improved in [True, False, False, True, False, False, False, False, False, False]:
        rate.after_validation(improved)
        seen.append(rate.at(100))
    assert seen == [0.002] * 6 + [0.001] * 3 + [0.0005]


# minutes: the rate falls to its end in time, and the recipe repeats the run

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


@pytest.mark.parametrize("longer", [2, 30, 600])
def test_a_run_that_is_given_more_time_goes_on_until_it_is_over(longer: int) -> None:
    """However much longer it is: an estimate for the time before would end it at once."""
    options = Cosine.Options(stable_fraction=0.5, warmup_steps=10)
    first = Cosine(options, 1.0, None)
    rates = list[float]()
    while not first.begins_to_fall(len(rates)):
        rates.append(first.at(len(rates) + 1))
        first.after_update(len(rates), float(len(rates)), 100.0)
    schedule, limit = Cosine(options, 1.0, None), 100.0 * longer
    schedule.load_state_dict(first.state_dict())
    schedule.lengthen(len(rates), float(len(rates)), limit)
    while len(rates) < limit and not schedule.end:
        rates.append(schedule.at(len(rates) + 1))
        schedule.after_update(len(rates), float(len(rates)), limit)
    assert len(rates) == pytest.approx(limit, rel=0.02)
    assert rates[int(0.4 * limit)] == 1.0
    assert rates[-1] < 0.01
    repeated = Cosine(options.model_copy(update={"lengths": schedule.lengths}), 1.0, None)
    assert [repeated.at(step) for step in range(1, len(rates) + 1)] == rates
    plain = Cosine(options.model_copy(update={"stable_fraction": 0.0}), 1.0, None)
    plain.lengths = {10: 100}
    before = plain.at(50)
    plain.lengthen(50, 50.0, 1000.0)
    assert plain.at(51) == pytest.approx(before, abs=0.01)  # a rate that falls goes on from its value


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
    checkpoints = CheckpointFolder(run).all()
    with pytest.raises(UserError, match="no sentence pair is left"):
        nmt.train(str(tiny_recipe), run, overrides={**longer, "data.max_length": 1}, resume=True)
    assert CheckpointFolder(run).all() == checkpoints, "a run that can't go on loses nothing"
    nmt.train(str(tiny_recipe), run, overrides=longer, resume=True, on_event=seen.append)
    assert [event.step for event in seen if isinstance(event, Started)] == [step_of(before_fall)]


def test_a_run_that_was_stopped_goes_on_and_its_recipe_repeats_it(tiny_recipe: Path, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Updated) and event.step == 5:
            raise KeyboardInterrupt

    overrides = {**MINUTES, "training.checkpoint_every": 2}
    with pytest.raises(KeyboardInterrupt):
        nmt.train(str(tiny_recipe), tmp_path / "run", overrides=overrides, on_event=stop)
    run = nmt.train(str(tiny_recipe), tmp_path / "run", overrides=overrides, resume=True)
    assert not changed(weights(run), weights(nmt.train(run / "recipe.yaml", tmp_path / "repeated")))
