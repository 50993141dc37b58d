"""The table of training techniques."""

from nmt.recipe.registry import Table
from nmt.recipe.schema import Recipe
from nmt.training.techniques.base import Technique
from nmt.training.techniques.gradient_flow import GradientFlow
from nmt.training.techniques.reverse_pairs import ReversePairs
from nmt.training.techniques.scheduled_sampling import ScheduledSampling
from nmt.training.techniques.subword_sampling import SubwordSampling
from nmt.training.techniques.truncation import Truncation

TECHNIQUES: Table[Technique] = Table(
    "training technique",
    Technique,
    {
        "subword_sampling": SubwordSampling,
        "reverse_pairs": ReversePairs,
        "scheduled_sampling": ScheduledSampling,
        "gradient_flow": GradientFlow,
        "truncation": Truncation,
    },
)
"""In the order in which their hooks are called. The technique of :mod:`nmt.alignment.guided_alignment`, a folder that
builds on this one, is declared by an entry point like that of an outside package."""

KEY = "training.techniques"


def make_techniques(recipe: Recipe) -> dict[str, Technique]:
    """Returns the training techniques of a recipe by name, as new objects, which may hold the state of a run."""
    chosen = TECHNIQUES.choose_many(recipe.training.techniques, KEY)
    return {name: chosen[name].component(chosen[name].options, recipe) for name in TECHNIQUES if name in chosen}
