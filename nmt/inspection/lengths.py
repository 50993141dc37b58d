"""The picture of scores by sentence length: where systems without attention fall (Bahdanau et al. 2015, figure 2)."""

from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmt.alignment.matrix import FAINT_INK, INK
from nmt.evaluation.compare import LengthScores
from nmt.evaluation.significance import Statistics
from nmt.fonts import font_families, quiet_fonts
from nmt.inspection.style import legend_columns, line_name, line_style, quiet_axes

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""They tell lines apart without colour."""


@quiet_fonts()
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
    names = [line_name(system) for system in statistics.systems]
    positions = range(len(lengths))
    for number, (name, system) in enumerate(zip(names, statistics.systems, strict=True)):
        scores = [row.scores[statistics.key][system] for row in lengths]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(positions, scores, label=name, marker=marker, **line_style(number, len(names)))
    axes.set_xticks(positions, [f"{row.bucket.label}\n({len(row.bucket.sentences):,})" for row in lengths])
    axes.set_xlabel(f"words of the {measured_by} (sentences)", fontsize=9, color=INK)
    direction = "" if statistics.metric.higher_is_better else " (less is better)"
    axes.set_ylabel(f"{statistics.metric.name}{direction}", fontsize=9, color=INK)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    quiet_axes(axes)
    prop = {"family": font_families(names), "size": 9}
    figure.legend(
        loc="outside upper left", ncols=legend_columns(len(names), 4), frameon=False, prop=prop, labelcolor=INK
    )
    axes.set_title(statistics.metric.signature, loc="right", fontsize=6, color=FAINT_INK)
    return figure
