"""The table of training techniques. Those of nmt are declared by entry points, like those of other packages."""

from nmt.recipe.registry import Table
from nmt.recipe.schema import Recipe
from nmt.training.techniques.base import Technique

TECHNIQUES: Table[Technique] = Table("training technique", Technique, {})

KEY = "training.techniques"


def make_techniques(recipe: Recipe) -> dict[str, Technique]:
    """Returns the training techniques of a recipe by name, as new objects, which may hold the state of a run.

    They are in the order in which their hooks are called, see :attr:`Technique.order`.
    """
    chosen = TECHNIQUES.choose_many(recipe.training.techniques, KEY)
    names = sorted(chosen, key=lambda name: (chosen[name].component.order, name))
    return {name: chosen[name].component(chosen[name].options, recipe) for name in names}
