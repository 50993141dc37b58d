"""The table of training techniques, and those that a recipe turns on."""

from operator import attrgetter

from nmt.core.errors import UserError
from nmt.recipe.registry import Table
from nmt.recipe.schema import Recipe
from nmt.training.techniques.base import IN_FORWARD, Technique
from nmt.training.techniques.bidirectional import Bidirectional
from nmt.training.techniques.gradient_flow import GradientFlow
from nmt.training.techniques.scheduled_sampling import ScheduledSampling
from nmt.training.techniques.subword_sampling import SubwordSampling
from nmt.training.techniques.truncation import Truncation

TECHNIQUES: Table[Technique] = Table(
    "training technique",
    Technique,
    {
        "subword_sampling": SubwordSampling,
        "bidirectional": Bidirectional,
        "scheduled_sampling": ScheduledSampling,
        "guided_alignment": "nmt.alignment.guided_alignment:GuidedAlignment",
        "gradient_flow": GradientFlow,
        "truncation": Truncation,
    },
)
"""In the order in which their hooks are called."""

KEY = "training.techniques"


def make_techniques(recipe: Recipe) -> dict[str, Technique]:
    """The techniques that a recipe turns on, by name, in the order of the table.

    Raises:
        UserError: an unknown technique or an option that is wrong; two that don't go together, or one that doesn't go
            with the rest of the recipe.
    """
    chosen = TECHNIQUES.choose_many(recipe.training.techniques, KEY)
    techniques = {name: chosen[name][0](chosen[name][1], recipe) for name in TECHNIQUES if name in chosen}
    for name, technique in techniques.items():
        keys = [key for key in technique.incompatible_with if "." in key and attrgetter(key)(recipe)]
        for other, another in techniques.items():
            changes_forward = another.num_passes > 1 or any(map(another.has, IN_FORWARD))
            if other in technique.incompatible_with or (
                technique.has("backward") and another is not technique and changes_forward
            ):
                keys.append(f"{KEY}.{other}")
        if keys:
            raise UserError(f"{KEY}.{name} doesn't go with {keys[0]}.", "Leave out one of them.")
    return techniques
