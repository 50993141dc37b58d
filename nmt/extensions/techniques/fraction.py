"""Techniques that only the first epochs of a run have: a fraction of ``training.max_epochs``."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.recipe.schema import Recipe
from nmt.training.techniques import Technique


class FirstEpochs(Technique):
    """Changes the text of the first ``num_epochs`` epochs: those of ``options.fraction``, or all where that is 1."""

    incompatible_with = ("task.classification",)
    capturable = True
    key: ClassVar[str]

    def __init__(self, options: Any, recipe: Recipe) -> None:
        super().__init__(options, recipe)
        self.num_epochs, number = math.inf, recipe.training.max_epochs
        if number and options.fraction < 1:
            self.num_epochs = int(round(options.fraction * number, 6))  # 0.58 * 50 is less than 29
            if self.num_epochs == 0:
                share = f"{self.key}.fraction is {options.fraction:g}: of {number} training.max_epochs"
                warn(f"{share} that is less than one, so it has no effect.")

    @classmethod
    def check(cls, options: Any, recipe: Recipe) -> Iterable[UserError]:
        if options.fraction < 1 and not recipe.training.max_epochs:
            message = f"{cls.key}.fraction is a fraction of training.max_epochs, which is not set."
            yield UserError(message, "Set training.max_epochs.")
