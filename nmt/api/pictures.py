"""Pictures for programs and notebooks: of alignments and training runs.

``picture.savefig(FILE)`` writes PNG, SVG or PDF by the suffix of the file. Notebooks show pictures by themselves.
"""

from collections.abc import Iterable

from nmt.alignment.links import Link, WordAlignment
from nmt.api.run import Run
from nmt.core.errors import UserError
from nmt.plotting.curves import XAxis, draw_runs
from nmt.plotting.history import short_names
from nmt.plotting.matrix import draw_matrix
from nmt.plotting.style import Picture


def plot_alignment(
    alignment: WordAlignment, gold: Iterable[Link] | None = None, title: str | None = None, numbers: bool = False
) -> Picture:
    """Draws the attention of a sentence pair as a matrix with the links of the model.

    Args:
        alignment: from :meth:`nmt.Translator.align`.
        gold: true links, (source word, target word), which get an orange frame.
        title, numbers: a line above the picture; whether the weights are written into the cells.
    """
    links = None if gold is None else set(gold)
    return draw_matrix(alignment, None if links is None else (links, links), title, numbers)


def plot_runs(runs: Iterable[Run], x: XAxis = "updates", metric: str = "bleu") -> Picture:
    """Draws the curves of training runs; see :meth:`nmt.Run.plot`."""
    given = [Run(run) for run in runs]
    if not given:
        raise UserError("There is no run to draw.", "Give one or more: nmt.plot_runs([nmt.Run(FOLDER)]).")
    return draw_runs(dict(zip(short_names(given), (run.history for run in given), strict=True)), x, metric)
