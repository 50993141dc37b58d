"""Training runs as objects: their model, their history and their curves."""

from collections.abc import Callable
from functools import cached_property, wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from nmt.plotting.history import History, read_history
from nmt.training import run as training
from nmt.translation.load import load
from nmt.translation.translator import Translator

if TYPE_CHECKING:
    from nmt.plotting.style import Picture

    _Path = Path
else:
    _Path = type(Path())  # until Python 3.12, only the class for the platform can be derived from

P = ParamSpec("P")


class Run(_Path):
    """A training run: the path of its model directory, with its contents.

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

    def plot(self, metric: str | None = None) -> "Picture":
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
        shown = {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in summary.items()}
        cells = ((escape(name.replace("_", " ")), escape(value)) for name, value in shown.items())
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells)
        svg = self.plot()._repr_svg_()
        return f"<table>{rows}</table>{svg[svg.index('<svg') :]}"


def _returning_run(function: Callable[P, Path]) -> Callable[P, Run]:
    """Wraps the training function, whose signature and documentation stay, to return a :class:`Run`."""

    @wraps(function)
    def train(*args: P.args, **kwargs: P.kwargs) -> Run:
        return Run(function(*args, **kwargs))

    return train


train = _returning_run(training.train)
