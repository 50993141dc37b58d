"""Techniques that only the first epochs of a run have: a fraction of ``training.max_epochs``."""

from collections.abc import Iterable

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.recipe.schema import Recipe


def check_fraction(fraction: float, recipe: Recipe, key: str) -> Iterable[UserError]:
    """Yields an error if a fraction of ``training.max_epochs`` is given for ``key`` but ``max_epochs`` isn't set."""
    if fraction < 1 and not recipe.training.max_epochs:
        yield UserError(f"{key} is a fraction of training.max_epochs, which is not set.", "Set training.max_epochs.")


def epochs_of(fraction: float, recipe: Recipe, key: str) -> int:
    """Returns how many epochs a fraction of ``training.max_epochs`` is, rounded down. Warns if there is none."""
    assert recipe.training.max_epochs is not None
    epochs = int(round(fraction * recipe.training.max_epochs, 6))  # 0.58 * 50 is less than 29
    if epochs == 0:
        number = recipe.training.max_epochs
        warn(f"{key} is {fraction:g}: of {number} training.max_epochs that is less than one, so it has no effect.")
    return epochs
