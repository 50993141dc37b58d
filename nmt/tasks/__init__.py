"""Tasks: the kinds of model, and the choice of one by a recipe."""

from collections.abc import Iterable
from typing import ClassVar

from nmt.core.errors import UserError
from nmt.metrics.table import LOSS
from nmt.recipe.registry import Table
from nmt.recipe.schema import NO_ENCODER, Recipe
from nmt.tasks.base import NO_SENTENCES, Task


class Translation(Task):
    """Each line is a sentence, and the output is its translation."""

    name = "translation"

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return True


class Dialogue(Task):
    """Each source line has the turns of a dialogue, separated by tabs."""

    name = "dialogue"
    refused: ClassVar = {
        "synthesis": ("A model of dialogues translates one turn of several.", "Name a model of sentences."),
        "export": (
            "Models of dialogues are not exported: their turns are put together by nmt.",
            "Use `nmt translate`.",
        ),
        "robustness": NO_SENTENCES,
        "reverse alignment": (
            "Dialogues are translated in one direction only.",
            "Name models of sentences, or leave it out.",
        ),
        "lexicon alignment": ("A model of dialogues aligns by its attention.", "Leave out --lexicon-only."),
    }

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return recipe.data.history_turns is not None


_NO_SOURCE = (
    "This is a language model: it reads no source.",
    "Measure text by `nmt score --perplexity`, or name it in decoding.logits_processors of a translation.",
)


class LanguageModel(Task):
    """The decoder alone predicts each target line; source lines are ignored."""

    name = "language_model"
    default_metric = LOSS
    reads_source = False
    pipeline = "text-generation"
    commands = ("nmt score --perplexity MODEL_DIR text.{target}",)
    refused = dict.fromkeys(("translation", "gradients", "serving"), _NO_SOURCE) | {"robustness": NO_SENTENCES}

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return recipe.model.encoder.get("type") == NO_ENCODER

    def title(self, source: str, target: str) -> str:
        return f"Language model of {target}"

    @classmethod
    def check(cls, recipe: Recipe) -> Iterable[UserError]:
        if recipe.training.metric not in (None, LOSS) or recipe.model.vectors.source:
            yield UserError(
                "A language model reads no source: it has no translation for training.metric, nor a source embedding.",
                "Set training.metric: loss, and leave out model.vectors.source.",
            )


TASKS: Table[Task] = Table(
    "task",
    Task,
    {
        "translation": Translation,
        "dialogue": Dialogue,
        "language_model": LanguageModel,
    },
)
"""The last one that fits a recipe is its task, unless the recipe names one."""


def choose_task(recipe: Recipe) -> type[Task]:
    """Returns the class of the task that a recipe names or describes.

    Raises:
        UserError: there is no task of that name.
    """
    if recipe.task is not None:
        return TASKS.find(recipe.task, "task")
    # A subclass that inherits `fits` is only chosen by its name.
    return next(task for task in reversed([*TASKS.values()]) if "fits" in vars(task) and task.fits(recipe))


def task_of(recipe: Recipe) -> Task:
    """Returns the task of a recipe."""
    return choose_task(recipe)(recipe)
