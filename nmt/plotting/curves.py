"""Training curves: pictures with a line for each run."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from matplotlib.figure import Figure

from nmt.core.errors import UserError
from nmt.metrics.table import METRICS, check_metrics, higher_is_better
from nmt.plotting.history import History
from nmt.plotting.style import Picture, curves_size, scaled, style, visible

MAX_SCALE = 1.3
"""Size of the text, compared with that of a page, above which an axis has fewer numbers."""
XAxis = Literal["updates", "minutes"]


def draw_runs(runs: Mapping[str, History], x: XAxis = "updates", metric: str = "bleu") -> Picture:
    """Draw the curves of training runs: a panel for each figure, and a dot at the best validation of each run."""
    check_metrics([metric])
    if x not in get_args(XAxis):
        raise UserError(f"There is no axis {x!r}.", f"Choose one of {', '.join(get_args(XAxis))}.")
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
            axes.locator_params(axis="x", nbins=4 if scaled(1) > MAX_SCALE else 6)
            if name == "gradient_norm" and values.size:  # a single spike would flatten everything else
                axes.set_ylim(0, 1.5 * float(np.quantile(values, 0.98)))
        figure.supxlabel(x)
        draw_legend(figure)
    return figure


def draw_legend(figure: Figure) -> None:
    """Draws a legend above the axes, in as many columns as there is room for."""
    handles = [line for line in figure.axes[0].lines if not str(line.get_label()).startswith("_child")]
    names = [str(line.get_label()) for line in handles]  # which may begin with "_"
    if not names:
        return
    columns = max(1, int(12 * figure.get_figwidth() / scaled(1) / (8 + max(map(len, names)))))
    figure.legend(handles, names, loc="outside upper left", ncols=min(columns, len(names)))
