"""Translation of sentences."""

from nmt.recipe.schema import Recipe
from nmt.tasks.base import Task


class Translation(Task):
    """Each line is a sentence, and the output is its translation."""

    name = "translation"

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return True
