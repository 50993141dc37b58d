"""Learning rates against their formulas, and what validation does to them."""

import math
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.recipe.schema import Recipe, TrainingOptions
from nmt.training.optimization import SCHEDULE, SCHEDULES, Schedule
from nmt.training.resolve import resolve


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


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"schedule": "linear"}, "there is no schedule 'linear'"),
        ({"schedule": {"type": "constant", "stable_fraction": 0.5}}, "unknown key 'stable_fraction'"),
        ({"schedule": {"type": "cosine", "stable_fraction": 1}}, "less than 1"),
        ({"schedule": "cosine", "max_steps": None, "patience": 3}, "'cosine' must know its end"),
    ],
)
def test_a_schedule_that_can_not_be_is_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        resolved({"max_steps": 9, "max_epochs": None, **values})


def resolved(training: dict[str, Any]) -> TrainingOptions:
    recipe = {
        "data": {"source": "a", "target": "b"},
        "model": {"encoder": {"type": "recurrent"}, "decoder": {"type": "recurrent"}},
    }
    return resolve(Recipe.model_validate(recipe | {"training": training})).training


def test_a_name_and_a_mapping_mean_the_same_and_the_default_is_filled_in() -> None:
    written = [
        resolved({"max_steps": 9, "schedule": schedule}).schedule
        for schedule in ("inverse_sqrt", {"type": "inverse_sqrt"}, {"warmup_steps": 1000})
    ]
    assert written == [{"type": "inverse_sqrt", "warmup_steps": 1000}] * 3
