"""The picture of scores by sentence length: where systems without attention fall (Bahdanau et al. 2015, figure 2)."""

from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmt.evaluation.compare import LengthScores
from nmt.evaluation.significance import Statistics

# Okabe & Ito (2008) for colour-blind readers; markers and dashes tell lines apart without colour.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
FAINT_INK = "#767676"


def draw_lengths(lengths: Sequence[LengthScores], statistics: Statistics, measured_by: str) -> Figure:
    """A line for each system over the length buckets, with the number of sentences in each along the foot.

    Args:
        lengths: in order of length.
        statistics: of the metric that is drawn.
        measured_by: whose words the lengths count: ``source`` or ``reference``.
    """
    figure = Figure(figsize=(max(6.4, 1.0 + 0.8 * len(lengths)), 4.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    positions = range(len(lengths))
    for number, system in enumerate(statistics.systems):
        axes.plot(
            positions,
            [row.scores[statistics.key][system] for row in lengths],
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            linestyle=DASHES[number // len(COLOURS) % len(DASHES)],
            linewidth=2,
            label=system,
        )
    axes.set_xticks(positions, [f"{row.bucket.label}\n({len(row.bucket.sentences):,})" for row in lengths])
    axes.set_xlabel(f"words of the {measured_by} (sentences)")
    axes.set_ylabel(statistics.name + ("" if statistics.higher_is_better else " (less is better)"))
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors="#1b1b1b")
    figure.legend(loc="outside upper left", ncols=min(4, len(statistics.systems)), frameon=False)
    axes.set_title(statistics.signature, loc="right", fontsize=6, color=FAINT_INK)
    return figure
