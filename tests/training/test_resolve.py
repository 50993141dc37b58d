"""A recipe is resolved in one place, which reports all its errors."""

from pathlib import Path
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.training.resolve import resolve


def test_all_errors_are_reported_at_once(tiny_recipe: Path) -> None:
    wrong = {
        "training.max_stepps": 3,
        "training.learning_rate": -1,
        "model.encoder.hiden_size": 4,
        "training.schedule": "linnear",
        "training.techniques.truncaton": {},
    }
    with pytest.raises(UserError) as caught:
        resolve(tiny_recipe, wrong)
    heading, *problems = caught.value.message.splitlines()
    assert heading == f"{tiny_recipe} has 5 problems:"
    for parts in (
        ("unknown key 'training.max_stepps'", "Did you mean 'max_steps'?"),
        ("'training.learning_rate' is -1", "Correct 'training.learning_rate'."),
        ("unknown key 'hiden_size'", "Did you mean 'hidden_size'?"),
        ("'linnear'", "Choose among constant, "),
        ("'truncaton'", "Did you mean 'truncation'?"),
    ):
        assert any(all(part in problem for part in parts) for problem in problems)


INVERSE_SQRT = {"type": "inverse_sqrt", "warmup_steps": 1000}
ADAM = {"type": "adam", "betas": [0.9, 0.98], "eps": 1e-9, "weight_decay": 0}


@pytest.mark.parametrize(
    ("key", "choice", "written"),
    [
        ("schedule", "inverse_sqrt", INVERSE_SQRT),
        ("schedule", {"type": "inverse_sqrt"}, INVERSE_SQRT),
        ("schedule", {"warmup_steps": 1000}, INVERSE_SQRT),
        ("optimizer", "adamw", ADAM | {"type": "adamw"}),
        ("optimizer", {"weight_decay": 0.1}, ADAM | {"weight_decay": 0.1}),
    ],
    ids=str,
)
def test_a_name_and_a_mapping_mean_the_same_and_defaults_are_filled_in(key: str, choice: Any, written: Any) -> None:
    assert getattr(resolve("systems/lstm", {f"training.{key}": choice}).training, key) == written


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("training.schedule", {"type": "cosine", "lengths": {2: 0}}, r"'lengths\.2' is 0"),
        ("vocabulary.character_coverage", 0.5, "is 0.5: input should be greater than or equal to 0.98"),
    ],
)
def test_what_no_run_could_use_is_refused(tiny_recipe: Path, key: str, value: Any, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        resolve(tiny_recipe, {key: value})


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_lowest_rate_above_the_highest_is_refused(tiny_recipe: Path, schedule: str) -> None:
    rates = {"training.schedule": {"type": schedule, "min_learning_rate": 0.5}, "training.learning_rate": 0.5}
    resolve(tiny_recipe, rates)
    with pytest.raises(UserError, match=r"min_learning_rate is above training\.learning_rate"):
        resolve(tiny_recipe, rates | {"training.learning_rate": 0.1})
