"""The curves of training runs as one picture: a small panel for each figure, a colour for each run.

The best validation of each run has a dot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

from nmt.alignment.matrix import FAINT_INK, INK
from nmt.evaluation.metrics import METRICS, higher_is_better
from nmt.fonts import font_families, quiet_fonts
from nmt.inspection.style import legend_columns, line_name, line_style, quiet_axes
from nmt.pictures import suffix_of, write_figure
from nmt.training.history import History, short_names

STEPS = (1, 2, 2.5, 5, 10)
"""What ticks may be apart, times a power of ten."""

XAxis = Literal["updates", "minutes"]


@dataclass(frozen=True)
class Panel:
    """One figure of one event. ``best`` picks the value that gets a dot."""

    title: str
    event: str
    figure: str
    best: Callable[[Sequence[float]], float] | None = None


def panels_of(histories: Sequence[History]) -> tuple[Panel, ...]:
    """The panels of some runs; one is of the metric of their validations, of the first one where they differ."""
    metric = next((name for history in histories for name in history.metrics), "bleu")
    return (
        Panel("training loss", "train", "loss"),
        Panel("validation loss", "valid", "loss", min),
        Panel(f"validation {METRICS[metric].name}", "valid", metric, max if higher_is_better(metric) else min),
        Panel("learning rate", "train", "learning_rate"),
        Panel("gradient norm", "train", "gradient_norm"),
        Panel("target tokens a second", "train", "tokens_per_second"),
    )


def plot_runs(histories: Sequence[History], path: Path | None = None, x: XAxis = "updates", dpi: int = 150) -> Figure:
    """Draw the curves of some runs.

    Args:
        histories: the runs.
        path: where to write it, as PNG, SVG or PDF by the suffix; None to only return the figure.
        x: what is on the horizontal axes.
        dpi: pixels per inch of a PNG.

    Raises:
        UserError: the suffix is unknown, or the file can't be written.
    """
    if path is not None:
        suffix_of(path)  # before the work of drawing
    figure = _draw(histories, x, dpi)
    if path is not None:
        write_figure(figure, path, dpi)
    return figure


@quiet_fonts()
def _draw(histories: Sequence[History], x: XAxis, dpi: int) -> Figure:
    names = [line_name(name) for name in short_names([h.directory for h in histories])]
    families = font_families(names)
    # 0.26 inches a line of the legend, which stands above the panels.
    columns = legend_columns(len(names), 110 // (max(map(len, names)) + 8))
    legend = 0.26 * -(-len(names) // columns) + 0.15
    figure = Figure(figsize=(11, 5.8 + legend), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    styles = [line_style(number, len(histories)) for number in range(len(histories))]
    for axes, panel in zip(figure.subplots(2, 3, sharex=True).flat, panels_of(histories), strict=True):
        _draw_panel(axes, panel, histories, styles, x)
        if axes.get_subplotspec().is_last_row():
            axes.set_xlabel(x, fontsize=9, color=INK)
    handles = [Line2D([], [], label=name, **style) for name, style in zip(names, styles, strict=True)]
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        prop={"family": families, "size": 9},
        labelcolor=INK,
    )
    return figure


def _draw_panel(
    axes: Axes, panel: Panel, histories: Sequence[History], styles: Sequence[dict[str, Any]], x: XAxis
) -> None:
    empty = True
    for history, style in zip(histories, styles, strict=True):
        xs, ys = history.series(panel.event, panel.figure, "step" if x == "updates" else "seconds")
        if x == "minutes":
            xs = [seconds / 60 for seconds in xs]
        if not ys:
            continue
        empty = False
        # A single point is no line, so that it needs a mark to be seen.
        axes.plot(xs, ys, marker="." if len(ys) == 1 else None, **style)
        if panel.best is not None:
            best = ys.index(panel.best(ys))
            axes.plot(xs[best], ys[best], marker="o", markersize=5, color=style["color"], markeredgecolor="white")
    axes.set_title(panel.title, fontsize=10, color=INK, loc="left")
    if empty:
        axes.text(0.5, 0.5, "not in the log", transform=axes.transAxes, ha="center", color=FAINT_INK, fontsize=9)
        axes.set_yticks([])
    else:
        _scale(axes, panel)
    quiet_axes(axes)


def _scale(axes: Axes, panel: Panel) -> None:
    """Where the axis begins, and how its numbers are written."""
    if panel.figure != "loss":
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=STEPS))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=STEPS))
    axes.yaxis.set_major_formatter(
        EngFormatter(sep="") if panel.figure == "tokens_per_second" else StrMethodFormatter("{x:g}")
    )
    if panel.figure == "gradient_norm":
        _clip_spikes(axes)


def _clip_spikes(axes: Axes) -> None:
    """A single spike of the gradient would flatten everything else: the axis ends above nearly all points."""
    values = sorted(float(y) for line in axes.lines for y in np.asarray(line.get_ydata()))
    usual = values[int(0.98 * (len(values) - 1))]
    if values[-1] > 3 * usual > 0:
        axes.set_ylim(0, 1.5 * usual)
        axes.annotate(
            f"up to {values[-1]:.3g}", (1, 1), xycoords="axes fraction", ha="right", va="top", fontsize=8,
            color=FAINT_INK,
        )  # fmt: skip
