"""Tasks: the kinds of model, and the choice of one by a recipe."""

from nmt.recipe.registry import Table
from nmt.recipe.schema import Recipe
from nmt.tasks.base import Task
from nmt.tasks.classification import Classification
from nmt.tasks.dialogue import Dialogue
from nmt.tasks.language_model import LanguageModel
from nmt.tasks.translation import Translation

TASKS: Table[Task] = Table(
    "task",
    Task,
    {
        "classification": Classification,
        "language_model": LanguageModel,
        "dialogue": Dialogue,
        "translation": Translation,
    },
)
"""The first one that fits a recipe is its task, unless the recipe names one."""


def choose_task(recipe: Recipe) -> type[Task]:
    """Returns the class of the task that a recipe names or describes.

    Raises:
        UserError: there is no task of that name.
    """
    if recipe.task is not None:
        return TASKS.find(recipe.task, "task")
    return next(task for task in TASKS.values() if task.fits(recipe))


def task_of(recipe: Recipe) -> Task:
    """Returns the task of a recipe."""
    return choose_task(recipe)(recipe)
