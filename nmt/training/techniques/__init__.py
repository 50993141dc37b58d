"""The table of training techniques, and those that a recipe turns on."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from nmt.config import Recipe
from nmt.errors import UserError
from nmt.plugins import Table
from nmt.training.techniques.base import IN_FORWARD, Technique
from nmt.training.techniques.bidirectional import Bidirectional
from nmt.training.techniques.gradient_flow import GradientFlow
from nmt.training.techniques.guided_alignment import GuidedAlignment
from nmt.training.techniques.r_drop import RDrop
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
        "r_drop": RDrop,
        "guided_alignment": GuidedAlignment,
        "gradient_flow": GradientFlow,
        "truncation": Truncation,
    },
)
"""In the order in which their hooks are called."""

KEY = "training.techniques"


def resolve_techniques(recipe: Recipe) -> Recipe:
    """The recipe with every option of its techniques written out, in the order of the table; null turns one off.

    Raises:
        UserError: an unknown technique, or an option that is wrong.
    """
    chosen = {name: options for name, options in recipe.training.techniques.items() if options is not None}
    for name in chosen:
        TECHNIQUES.find(name, KEY)
    written: dict[str, Any] = {
        name: TECHNIQUES.choose({"type": name, **chosen[name]}, f"{KEY}.{name}")[1].model_dump(mode="json")
        for name in TECHNIQUES
        if name in chosen
    }
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"techniques": written})})


def make_techniques(recipe: Recipe) -> dict[str, Technique]:
    """The techniques of a recipe that :func:`resolve_techniques` has completed, by name.

    Raises:
        UserError: two of them don't go together, or one doesn't go with the rest of the recipe.
    """
    techniques: dict[str, Technique] = {}
    for name, values in recipe.training.techniques.items():
        technique, options = TECHNIQUES.choose({"type": name, **(values or {})}, f"{KEY}.{name}")
        techniques[name] = technique(options, recipe)
    _check_compatible(recipe, techniques)
    return techniques


def _check_compatible(recipe: Recipe, techniques: Mapping[str, Technique]) -> None:
    values = recipe.model_dump()
    conflicts: list[tuple[str, str]] = []
    for name, technique in techniques.items():
        conflicts += [(f"{KEY}.{name}", f"{KEY}.{o}") for o in technique.incompatible_with if o in techniques]
        conflicts += [(f"{KEY}.{name}", key) for key in technique.incompatible_with if "." in key and _at(values, key)]
    for (name, technique), (other_name, other) in combinations(techniques.items(), 2):
        for one, another in ((technique, other), (other, technique)):
            if one.has("backward") and (another.num_passes > 1 or any(map(another.has, IN_FORWARD))):
                conflicts.append((f"{KEY}.{name}", f"{KEY}.{other_name}"))
    if conflicts:
        one_key, other_key = conflicts[0]
        raise UserError(f"{one_key} doesn't go with {other_key}.", "Leave out one of them.")


def _at(values: Any, key: str) -> Any:
    """The value of a dotted key in nested mappings; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values
