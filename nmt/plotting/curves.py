"""Pictures with a line for each run, system or model: training curves, scores by sentence length, gradient norms."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from nmt.plotting.fonts import visible_line
from nmt.plotting.style import COLOURS, FAINT_INK, GRID, style

DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""They tell lines apart without colour."""
STEPS = (1, 2, 2.5, 5, 10)
"""Distances between ticks, times a power of ten."""

XAxis = Literal["updates", "minutes"]


class Run(Protocol):
    """The log of a run; :class:`nmt.training.history.History` is one."""

    def series(self, event: str, figure: str, x: str) -> tuple[list[float], list[float]]:
        """A figure of an event over the updates (``step``) or ``seconds``."""


@dataclass(frozen=True)
class Panel:
    """One figure of one event. ``best`` picks the value that gets a dot."""

    title: str
    event: str
    figure: str
    best: Callable[[Sequence[float]], float] | None = None


LOSSES = (Panel("training loss", "train", "loss"), Panel("validation loss", "valid", "loss", min))
BLEU = Panel("validation BLEU", "valid", "bleu", max)
UPDATES = (
    Panel("learning rate", "train", "learning_rate"),
    Panel("gradient norm", "train", "gradient_norm"),
    Panel("target tokens a second", "train", "tokens_per_second"),
)


def draw_runs(runs: Mapping[str, Run], x: XAxis = "updates", metric: Panel = BLEU) -> Figure:
    """Draw the curves of training runs: a panel for each figure, and a dot at the best validation of each run.

    Args:
        runs: by their names.
        x: the unit of the horizontal axes.
        metric: the panel of the metric that the runs were validated with.
    """
    with _lines(runs, 11, 5.8) as (figure, lines):
        for axes, panel in zip(figure.subplots(2, 3, sharex=True).flat, (*LOSSES, metric, *UPDATES), strict=True):
            for run, line in zip(runs.values(), lines, strict=True):
                xs, ys = run.series(panel.event, panel.figure, "step" if x == "updates" else "seconds")
                _draw_curve(axes, panel, xs if x == "updates" else [seconds / 60 for seconds in xs], ys, line)
            _finish_panel(axes, panel)
            if axes.get_subplotspec().is_last_row():
                axes.set_xlabel(x)
    return figure


def draw_lengths(
    scores: Mapping[str, Sequence[float]], num_sentences: Mapping[str, int], x_label: str, y_label: str, note: str = ""
) -> Figure:
    """Draw the scores of systems by sentence length (Bahdanau et al. 2015, figure 2).

    Args:
        scores: of each system, one for each range of lengths.
        num_sentences: of each range of lengths, by its name.
        x_label, y_label: what is counted, and what is measured.
        note: small print, such as the signature of the metric.
    """
    with _lines(scores, max(6.4, 1.0 + 0.8 * len(num_sentences)), 3.8) as (figure, lines):
        axes = figure.subplots()
        for number, (line, values) in enumerate(zip(lines, scores.values(), strict=True)):
            axes.plot(range(len(values)), values, marker=MARKERS[number % len(MARKERS)], **line)
        axes.set_xticks(range(len(num_sentences)), [f"{name}\n({count:,})" for name, count in num_sentences.items()])
        axes.set(xlabel=f"{x_label} (sentences)", ylabel=y_label)
        axes.set_ylim(bottom=0)
        axes.margins(y=0.1)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.set_title(note, loc="right", fontsize=6, color=FAINT_INK)
        _clear_frame(axes)
    return figure


def draw_gradients(norms: Mapping[str, npt.NDArray[np.float64]]) -> Figure:
    """Draw how gradient norms of models fall over the distance, each as a share of its largest, on a logarithmic scale.

    Args:
        norms: of each model, by the number of words that the encoder reads after a word, from 0.
    """
    with _lines(norms, 7.5, 4.2) as (figure, lines):
        axes = figure.subplots()
        for line, norm_T in zip(lines, norms.values(), strict=True):
            axes.plot(norm_T / norm_T.max(), **line)
        axes.set(xlabel="words that the encoder reads after a word", yscale="log")
        axes.set_ylabel("gradient norm at the word, share of the largest")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter("{x:g}")
        _clear_frame(axes)
    return figure


@contextmanager
def _lines(names: Iterable[str], width: float, height: float) -> Iterator[tuple[Figure, list[dict[str, Any]]]]:
    """A figure in its style, with a legend above the axes, which have this height in inches.

    Yields:
        The figure, and the style of the line of each name. The later a line is drawn the thinner it is, so that it
        never hides one that it coincides with.
    """
    names = [visible_line(name) for name in names]
    columns = max(1, min(len(names), int(width * 12.5) // (max(map(len, names)) + 8)))
    num_rows = math.ceil(len(names) / columns)
    with style(names):
        # 0.26 inches a line of the legend.
        figure = Figure(figsize=(width, height + 0.26 * num_rows + 0.15), layout="constrained")
        lines: list[dict[str, Any]] = [
            {
                "color": COLOURS[number % len(COLOURS)],
                "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
                "linewidth": 1.2 + 1.4 * (len(names) - 1 - number) / len(names),
            }
            for number in range(len(names))
        ]
        handles = [Line2D([], [], label=name, **line) for name, line in zip(names, lines, strict=True)]
        figure.legend(handles=handles, loc="outside upper left", ncols=math.ceil(len(names) / num_rows))
        yield figure, lines


def _draw_curve(axes: Axes, panel: Panel, xs: Sequence[float], ys: Sequence[float], line: Mapping[str, Any]) -> None:
    if not ys:
        return
    # A single point is no line, so that it needs a mark to be seen.
    axes.plot(xs, ys, marker="." if len(ys) == 1 else None, **line)
    if panel.best is not None:
        best = ys.index(panel.best(ys))
        axes.plot(xs[best], ys[best], marker="o", markersize=5, color=line["color"], markeredgecolor="white")


def _finish_panel(axes: Axes, panel: Panel) -> None:
    """The title, where the axes begin, and how their numbers are written."""
    axes.set_title(panel.title)
    _clear_frame(axes)
    if not axes.lines:
        axes.text(0.5, 0.5, "not in the log", transform=axes.transAxes, ha="center", color=FAINT_INK)
        axes.set_yticks([])
        return
    if panel.figure != "loss":
        axes.set_ylim(bottom=0)
    for axis, is_large in ((axes.xaxis, True), (axes.yaxis, panel.figure == "tokens_per_second")):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=STEPS))
        axis.set_major_formatter(EngFormatter(sep="") if is_large else "{x:g}")
    if panel.figure == "gradient_norm":
        _clip_spikes(axes)


def _clip_spikes(axes: Axes) -> None:
    """A single spike of the gradient would flatten everything else: the axis ends above nearly all points."""
    values = sorted(float(y) for line in axes.lines for y in np.asarray(line.get_ydata()))
    usual = values[int(0.98 * (len(values) - 1))]
    if values[-1] > 3 * usual > 0:
        axes.set_ylim(0, 1.5 * usual)
        place: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right", "va": "top"}
        axes.annotate(f"up to {values[-1]:.3g}", (1, 1), fontsize=8, color=FAINT_INK, **place)


def _clear_frame(axes: Axes) -> None:
    """A faint grid behind the lines, and no more of a frame than two sides."""
    axes.grid()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GRID)
