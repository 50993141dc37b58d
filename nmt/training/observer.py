"""Observers: what is recorded of a model at each validation of a run. Extensions have them; the toolkit has none."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from nmt.core.device import Precision
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.recipe.registry import Table
from nmt.recipe.schema import Recipe
from nmt.training.data import Data

KEY = "training.observers"


class Observer(ABC):
    """Records something about a model at each validation; a recipe turns it on by its name in ``training.observers``.

    Each observation is a line of ``NAME.jsonl`` in the model directory, and an
    :class:`nmt.training.events.Observed`. An observer reads the weights without changing them and draws no random
    number, so that a run reaches the same weights with and without it. It is made in rank 0 alone.

    Args:
        options: an instance of ``Options``.
        recipe: complete and checked.
        data: of the run.
        precision: of the matrix products.

    Raises:
        UserError: the options don't fit the data.
    """

    class Options(groups.Options):
        """Without keys."""

    requires: ClassVar[tuple[str, ...]] = ()
    """Features of the task that it needs, see :meth:`nmt.tasks.base.Task.require`."""

    @abstractmethod
    def __init__(self, options: Any, recipe: Recipe, data: Data, precision: Precision) -> None: ...

    @abstractmethod
    def __call__(self, model: Seq2Seq, check: Callable[[], None]) -> dict[str, Any]:
        """Returns the observation as JSON values.

        Args:
            model: in eval mode; called under ``torch.inference_mode``.
            check: to be called now and then; raises an error if the validation is to end.
        """


OBSERVERS: Table[Observer] = Table("observer", Observer, {})


def make_observers(recipe: Recipe, data: Data, precision: Precision) -> dict[str, Observer]:
    """Returns the observers of a recipe by name."""
    chosen = OBSERVERS.choose_many(recipe.training.observers, KEY)
    return {name: observer(options, recipe, data, precision) for name, (observer, options) in chosen.items()}
