"""A recipe is resolved in one place, which reports all its errors."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nmt.core.errors import UserError
from nmt.models.networks.recurrent import BahdanauDecoder
from nmt.training.optimization import SCHEDULES, Constant
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
    for part in ("max_stepps", "learning_rate", "hiden_size", "linnear", "truncaton"):
        assert part in caught.value.message
    assert f"{tiny_recipe} has " in caught.value.message
    assert "\n2. " in caught.value.message


@pytest.mark.extension("techniques")
def test_conditions_between_parts_are_reported_at_once(tiny_recipe: Path) -> None:
    wrong = {
        "training.techniques": {"subword_sampling": {"alpha": 0.1, "fraction": 0.5}, "truncation": {"length": 5}},
        "training.max_epochs": None,
        "training.max_steps": 5,
    }
    with pytest.raises(UserError) as caught:
        resolve(tiny_recipe, wrong)
    assert "fraction of training.max_epochs" in caught.value.message


def test_a_resolved_recipe_has_typed_options_and_can_not_be_changed(tiny_recipe: Path) -> None:
    resolved = resolve(tiny_recipe, {"training.schedule": "constant", "model.decoder": {"type": "bahdanau"}})
    schedule = SCHEDULES.choose(resolved.training.schedule, "training.schedule")
    assert schedule.component is Constant
    assert isinstance(schedule.options, Constant.Options)
    assert resolved.model.decoder == {
        "type": "bahdanau",
        **BahdanauDecoder.Options().model_dump(mode="json"),
    } | {
        "attention": {"type": "additive", "size": 256},
        "cell": {"type": "lstm", "init": "uniform", "spectral_radius": 0.95},
    }
    with pytest.raises(ValidationError, match="frozen"):
        resolved.task = None  # type: ignore[misc]


def test_resolving_twice_changes_nothing(tiny_recipe: Path) -> None:
    once = resolve(tiny_recipe)
    assert resolve(once) == once
