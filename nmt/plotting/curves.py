"""Pictures with a line for each run, system or model: training curves, gradient norms."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmt.metrics.table import METRICS, directed_name, higher_is_better
from nmt.plotting.history import History
from nmt.plotting.style import Picture, curves_size, scaled, style, visible

XAxis = Literal["updates", "minutes"]


def draw_runs(runs: Mapping[str, History], x: XAxis = "updates", metric: str = "bleu") -> Picture:
    """Draw the curves of training runs: a panel for each figure, and a dot at the best validation of each run."""
    panels = (  # title, event, figure, and what picks the best value
        ("training loss", "train", "loss", None),
        ("validation loss", "valid", "loss", min),
        (f"validation {METRICS[metric].name}", "valid", metric, max if higher_is_better(metric) else min),
        ("learning rate", "train", "learning_rate", None),
        ("gradient norm", "train", "gradient_norm", None),
        ("target tokens a second", "train", "tokens_per_second", None),
    )
    with style(runs):
        figure = Picture(figsize=curves_size(11, 6.2), layout="constrained")
        for axes, (title, event, name, best) in zip(figure.subplots(2, 3, sharex=True).flat, panels, strict=True):
            for label, run in runs.items():
                xs, ys = run.series(event, name, "step" if x == "updates" else "seconds")
                xs = xs if x == "updates" else [seconds / 60 for seconds in xs]
                # A single point is no line, so that it needs a mark to be seen.
                [line] = axes.plot(xs, ys, label=visible(label), marker="." if len(ys) == 1 else None)
                if best is not None and ys:
                    at = ys.index(best(ys))
                    axes.plot(xs[at], ys[at], "o", markersize=5, color=line.get_color(), markeredgecolor="white")
            axes.set_title(title)
            values = np.concatenate([line.get_ydata() for line in axes.lines])
            axes.set_visible(values.size > 0)  # no run has this figure
            if name == "gradient_norm" and values.size:  # a single spike would flatten everything else
                axes.set_ylim(0, 1.5 * float(np.quantile(values, 0.98)))
        figure.supxlabel(x)
        draw_legend(figure)
    return figure


def draw_gradients(norms: Mapping[str, npt.NDArray[np.float64]]) -> Picture:
    """Draw how gradient norms of models fall over the distance, each as a share of its largest, on a logarithmic scale.

    Args:
        norms: of each model, by the number of words that the encoder reads after a word, from 0.
    """
    with style(norms):
        figure = Picture(figsize=curves_size(7.5, 4.7), layout="constrained")
        axes = figure.subplots()
        for name, norm_T in norms.items():
            # Norms below the smallest number are zero, which has no place on the axis.
            axes.plot(np.where(norm_T > 0, norm_T / norm_T.max(), np.nan), label=visible(name))
        axes.set(xlabel="words that the encoder reads after a word", yscale="log")
        axes.set_ylabel("gradient norm at the word,\nshare of the largest")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter("{x:g}")
        # Within a power of ten there are no other labels.
        axes.yaxis.set_minor_formatter("{x:g}" if axes.get_ylim()[0] > 0.1 else "")
        draw_legend(figure)
    return figure


def draw_scores(scores: Mapping[str, float], metric: str) -> Picture:
    """Draw a bar for each score, from above.

    Args:
        scores: by name, such as that of a change of the test set.
    """
    with style(scores):
        figure = Picture(figsize=curves_size(6.4, 0.8 + 0.35 * len(scores)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(list(map(visible, scores)), list(scores.values()), height=0.6)
        axes.bar_label(bars, fmt=f"%.{METRICS[metric].decimals}f", padding=3)
        axes.margins(x=0.15)  # room for the figures
        axes.grid(visible=False, axis="y")
        axes.set_axisbelow(True)
        axes.invert_yaxis()
        axes.set_xlabel(directed_name(metric))
    return figure


def draw_legend(figure: Figure) -> None:
    """Draws a legend above the axes, in as many columns as there is room for."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    columns = max(1, int(12 * figure.get_figwidth() / scaled(1) / (8 + max(map(len, names)))))
    figure.legend(handles, names, loc="outside upper left", ncols=min(columns, len(names)))
