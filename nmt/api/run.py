"""Training runs as objects: their model, their history and their curves."""

from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.core.errors import UserError
from nmt.plotting.history import History, read_history
from nmt.recipe.load import is_recipe
from nmt.recipe.schema import Recipe
from nmt.training import run as training
from nmt.training.data import Pairs
from nmt.training.events import Sink
from nmt.translation.load import load
from nmt.translation.translator import Translator

if TYPE_CHECKING:
    from nmt.plotting.style import Picture

    _Path = Path
else:
    _Path = type(Path())  # until Python 3.12, only the class for the platform can be derived from


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
        return draw_runs({self.resolve().name: history}, metric=metric or (known[0] if known else "bleu"))

    def _repr_html_(self) -> str:
        """Returns the scores as a table and the curves as a picture, for notebooks."""
        summary = {name: value for name, value in self.history.summary().items() if value is not None}
        shown = {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in summary.items()}
        cells = ((escape(name.replace("_", " ")), escape(value)) for name, value in shown.items())
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells)
        svg = self.plot()._repr_svg_()
        return f"<table>{rows}</table>{svg[svg.index('<svg') :]}"


def train(
    recipe: str | Path | Recipe,
    *others: str | Path,
    output: str | Path | None = None,
    minutes: float | None = None,
    start: str | Path | None = None,
    keep_all: bool = False,
    overrides: Mapping[str, Any] = {},
    resume: bool = False,
    pairs: Pairs | None = None,
    valid: Pairs | None = None,
    on_event: Sink | None = None,
) -> Run:
    """Trains a model of a recipe, or of text files alone.

    Args:
        recipe: a path, the name of a shipped recipe, or a recipe; or the first file of text, or a folder of text.
        others: with text its other files, and folders of synthetic pairs; with a recipe ``output`` may stand here.
        output: the model directory, which is made if it doesn't exist. None for runs/NAME, by the recipe or the text.
        minutes: with text, for everything; None to train until more time brings nothing.
        start: with text, a model directory to fine-tune.
        keep_all: with text, whether all lines are trained on as they are.
        overrides: recipe keys and their values, such as ``{"training.max_epochs": 3}``.
        resume: continue from the last checkpoint in ``output``; with a recipe, begin where there is none.
        pairs: (source, target) sentences to train on, in place of the text that the recipe names.
        valid: such pairs for validation; without them, but with ``pairs``, some of those are held out.
        on_event: called with each event of the run; :mod:`nmt.training.events` lists them.

    Raises:
        UserError: the recipe or the text can't be used; the message says what to do.
        Interrupted: Ctrl-C or SIGTERM, after a checkpoint was saved.

    Example::

        nmt.train("texts.de", "texts.en", minutes=30).model.translate(["Ein Mann schläft."])
    """
    if minutes is None and is_recipe([recipe]):
        if start is not None or keep_all:
            raise UserError("start= and keep_all= are for text.", "Set training.finetune_from by overrides=.")
        outputs = [each for each in (*others, output) if each is not None]
        if len(outputs) > 1:
            raise UserError("With a recipe there is one model directory.", "Give one output=.")
        output = outputs[0] if outputs else None
        run = training.train(
            recipe, output, overrides=overrides, resume=resume, pairs=pairs, valid=valid, on_event=on_event
        )
        return Run(run)
    if isinstance(recipe, Recipe):
        raise UserError("minutes= is for files of text.", "Set training.max_minutes by overrides=.")
    if pairs is not None or valid is not None:
        raise UserError("pairs= and valid= are for a recipe.", "Leave them out, or name a recipe.")
    from nmt.autotrain.prepared import Request
    from nmt.autotrain.run import autotrain  # which imports matplotlib

    texts = [Path(text) for text in (recipe, *others)]
    request = Request(texts, minutes, overrides, keep_all, None if start is None else Path(start))
    return Run(autotrain(request, None if output is None else Path(output), resume, on_event))
