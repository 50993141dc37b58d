"""The choice of a task by a recipe, and what tasks refuse."""

from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.recipe.load import load_recipe
from nmt.tasks import choose_task, task_of
from nmt.training.resolve import resolve

TRANSLATION: dict[str, Any] = {}
DIALOGUE = {"data.history_turns": 2}
LANGUAGE_MODEL = {"model.encoder": None}


@pytest.mark.parametrize(("changes", "current"), [(DIALOGUE, "b c"), (TRANSLATION, "a\tb c")])
def test_the_target_of_a_dialogue_is_its_current_turn(changes: dict[str, Any], current: str) -> None:
    assert task_of(load_recipe("systems/lstm", changes)).reader.current("a\tb c") == current


@pytest.mark.parametrize(
    ("changes", "name", "metric"),
    [
        (TRANSLATION, "translation", "bleu"),
        (DIALOGUE, "dialogue", "bleu"),
        (LANGUAGE_MODEL, "language_model", "loss"),
    ],
)
def test_a_recipe_has_one_task_which_names_the_metric(changes: dict[str, Any], name: str, metric: str) -> None:
    assert choose_task(load_recipe("systems/lstm", changes)).name == name
    resolved = resolve("systems/lstm", changes)
    assert task_of(resolved).name == name
    assert resolved.training.metric == metric


def test_a_task_that_is_named_must_be_there() -> None:
    with pytest.raises(UserError, match=r"there is no task 'taging'.*\n.*--plugin"):
        resolve("systems/lstm", {"task": "taging"})


@pytest.mark.parametrize(
    ("changes", "feature", "message"),
    [
        (DIALOGUE, "export", "dialogues are not exported"),
        (DIALOGUE, "synthesis", "one turn of several"),
        (LANGUAGE_MODEL, "translation", "reads no source"),
    ],
)
def test_a_feature_that_does_not_go_with_a_task_is_refused(changes: dict[str, Any], feature: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"{message}.*\n."):
        task_of(load_recipe("systems/lstm", changes)).require(feature)
    task_of(load_recipe("systems/lstm")).require(feature)  # translation can do all of them
