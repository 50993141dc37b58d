"""A picture of scores by the change of the test set."""

from collections.abc import Mapping

from nmt.metrics.table import METRICS, directed_name
from nmt.plotting.style import Picture, curves_size, style, visible


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
