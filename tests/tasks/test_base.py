"""The choice of a task by a recipe, what tasks refuse, and a task of an outside package."""

from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.recipe.schema import Recipe
from nmt.tasks import choose_task, task_of
from nmt.training.resolve import resolve

RECIPE: dict[str, Any] = {
    "data": {"source": "a", "target": "b", "max_length": 20},
    "vocabulary": {"type": "word", "joint": False},
    "model": {
        "embedding_size": 16,
        "encoder": {"type": "recurrent", "hidden_size": 16},
        "decoder": {"type": "luong", "hidden_size": 32},
    },
    "training": {"max_steps": 200, "learning_rate": 0.02, "batch_tokens": 200, "log_every": 1000, "precision": "fp32"},
    "device": "cpu",
}


def recipe_of(**changes: dict[str, Any]) -> Recipe:
    parts = ("data", "model", "training")
    return Recipe.model_validate({part: {**RECIPE[part], **changes.get(part, {})} for part in parts})


def test_the_target_of_a_dialogue_is_its_current_turn() -> None:
    for data, expected in (({"history_turns": 2}, "b c"), ({}, "a\tb c")):
        assert task_of(recipe_of(data=data)).reader.current("a\tb c") == expected


@pytest.mark.parametrize(
    ("changes", "name", "metric"),
    [
        ({}, "translation", "bleu"),
        ({"data": {"history_turns": 2}}, "dialogue", "bleu"),
        ({"model": {"encoder": None}}, "language_model", "loss"),
    ],
)
def test_a_recipe_has_one_task_which_names_the_metric(changes: dict[str, Any], name: str, metric: str) -> None:
    recipe = recipe_of(**changes)
    assert choose_task(recipe).name == name
    resolved = resolve(recipe)
    assert task_of(resolved).name == name
    assert resolved.training.metric == metric


def test_a_task_that_is_named_must_be_there() -> None:
    with pytest.raises(UserError, match=r"there is no task 'taging'.*\n.*--plugin"):
        resolve(recipe_of().model_copy(update={"task": "taging"}))


@pytest.mark.parametrize(
    ("changes", "feature", "message"),
    [
        ({"data": {"history_turns": 2}}, "export", "dialogues are not exported"),
        ({"data": {"history_turns": 2}}, "synthesis", "one turn of several"),
        ({"model": {"encoder": None}}, "translation", "reads no source"),
    ],
)
def test_a_feature_that_does_not_go_with_a_task_is_refused(changes: dict[str, Any], feature: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"{message}.*\n."):
        task_of(recipe_of(**changes)).require(feature)
    task_of(recipe_of()).require(feature)  # translation can do all of them
