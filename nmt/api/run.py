"""Training runs as objects: their model, their history and their curves."""

from collections.abc import Mapping
from functools import cached_property
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.recipe.schema import Recipe
from nmt.training import run as training
from nmt.training.data import Pairs
from nmt.training.history import History, read_history
from nmt.training.loop.events import Sink
from nmt.translation.load import load
from nmt.translation.translator import Translator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    _Path = Path
else:
    _Path = type(Path())  # until Python 3.12, only the class for the platform can be derived from


class Run(_Path):
    """A training run: the path of its model directory, with what is in it.

    A notebook shows its scores and curves. It can be used wherever a path can.

    Example::

        run = nmt.train("multi30k/luong", "runs/luong")
        run.plot()
        run.model("Ein Mann schläft.")
    """

    @cached_property
    def model(self) -> Translator:
        """The best model of the run, on the CPU or a GPU; see :func:`nmt.load`."""
        return load(self)

    @property
    def history(self) -> History:
        """The events of the run so far.

        Raises:
            UserError: the run has written none.
        """
        return read_history(self)

    def plot(self, metric: str | None = None) -> "Figure":
        """Draws the curves of the run.

        Args:
            metric: the validation metric to draw; by default the one that selects the best model.
        """
        from nmt.plotting.curves import draw_runs

        history = self.history
        known = history.metrics
        return draw_runs({self.name: history}, metric=metric or (known[0] if known else "bleu"))

    def _repr_html_(self) -> str:
        """Returns the scores as a table and the curves as a picture, for notebooks."""
        summary = {name: value for name, value in self.history.summary().items() if value is not None}
        cells = ((escape(name), escape(str(value))) for name, value in summary.items())
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells)
        picture = StringIO()
        self.plot().savefig(picture, format="svg")
        svg = picture.getvalue()
        return f"<table>{rows}</table>{svg[svg.index('<svg') :]}"


def train(
    recipe: str | Path | Recipe,
    output: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] = {},
    resume: bool = False,
    pairs: Pairs | None = None,
    valid: Pairs | None = None,
    on_event: Sink | None = None,
) -> Run:
    """Trains a model and writes a model directory.

    Args:
        recipe: a path, the name of a shipped recipe, or a recipe.
        output: the model directory, which is made if it doesn't exist. None for runs/NAME, by the name of the recipe.
        overrides: recipe keys and their values, such as ``{"training.max_epochs": 3}``.
        resume: continue from the last checkpoint in ``output``, or begin if there is none.
        pairs: (source, target) sentences to train on, in place of the text that the recipe names.
        valid: such pairs for validation; without them, but with ``pairs``, some of those are held out.
        on_event: called with each event of the run; :mod:`nmt.training.loop.events` lists them.

    Returns:
        The run, which is the path of the model directory.

    Raises:
        UserError: the recipe or the text can't be used; the message says what to do.
        Interrupted: Ctrl-C or SIGTERM, after a checkpoint was saved.
    """
    return Run(
        training.train(recipe, output, overrides=overrides, resume=resume, pairs=pairs, valid=valid, on_event=on_event)
    )
