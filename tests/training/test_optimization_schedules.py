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


def test_cosine_goes_from_the_peak_to_the_lowest_rate_at_the_last_update() -> None:
    rate = make(1100, schedule="cosine", warmup_steps=100, min_learning_rate=0.0004)
    assert rate.at(100) == pytest.approx(0.002)
    assert rate.at(600) == pytest.approx((0.002 + 0.0004) / 2)
    assert rate.at(350) == pytest.approx(0.0004 + 0.0016 * (1 + math.cos(math.pi / 4)) / 2)
    assert rate.at(1100) == pytest.approx(0.0004)
    assert rate.at(5000) == pytest.approx(0.0004)
    rates = [rate.at(step) for step in range(100, 1101)]
    assert rates == sorted(rates, reverse=True)


def test_cosine_falls_after_the_stable_share_of_the_run() -> None:
    rate = make(1000, schedule="cosine", warmup_steps=100, stable_fraction=0.4, min_learning_rate=0.0004)
    assert rate.at(50) == pytest.approx(0.001)
    assert [rate.at(step) for step in (100, 250, 400)] == [0.002] * 3
    assert rate.at(550) == pytest.approx(0.0004 + 0.0016 * (1 + math.cos(math.pi / 4)) / 2)
    assert rate.at(700) == pytest.approx((0.002 + 0.0004) / 2)
    assert rate.at(1000) == pytest.approx(0.0004)


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
