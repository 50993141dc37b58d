"""Techniques that only the first epochs of a run have: a fraction of ``training.max_epochs``."""

from collections.abc import Iterable

from nmt.core.errors import UserError
from nmt.recipe.schema import Recipe


def check_fraction(fraction: float, recipe: Recipe, key: str) -> Iterable[UserError]:
    """Yields an error if a fraction of ``training.max_epochs`` is given for ``key`` but ``max_epochs`` isn't set."""
    if fraction < 1 and not recipe.training.max_epochs:
        yield UserError(f"{key} is a fraction of training.max_epochs, which is not set.", "Set training.max_epochs.")


def epochs_of(fraction: float, recipe: Recipe) -> int:
    """Returns how many epochs a fraction of ``training.max_epochs`` is, rounded down."""
    assert recipe.training.max_epochs is not None
    return int(fraction * recipe.training.max_epochs)
