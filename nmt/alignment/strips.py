"""Strips beside the matrix of an alignment: figures of single words, such as how long the model pondered over them.

Those of source words stand below the matrix, those of target words right of it, a row or column each, with the
number in each cell; the darker, the larger.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from nmt.alignment.links import WordAlignment

OFFSET = 0.35
"""Cells between the matrix and the first strip."""
SHADES = LinearSegmentedColormap.from_list("figures", ["#ffffff", "#fbe3cf", "#f0b488", "#d98a52"])
INK = "#1b1b1b"
FAINT_INK = "#767676"


def draw_strips(axes: Axes, alignment: WordAlignment, right: float, families: list[str], font_size: float) -> float:
    """Draw them, those of the target ``right`` cells from the left edge, and say how many cells these need."""
    num_source, num_target = len(alignment.source), len(alignment.target)
    style: dict[str, Any] = {"fontsize": font_size, "family": families, "color": FAINT_INK}
    for number, (name, values) in enumerate(alignment.source_figures.items()):
        top = max(num_target, 1) + OFFSET + number
        _draw_cells(axes, [(column, top) for column in range(num_source)], values, families, font_size)
        axes.text(-0.25, top + 0.5, name, ha="right", va="center", **style)
    for number, (name, values) in enumerate(alignment.target_figures.items()):
        left = right + OFFSET + number
        _draw_cells(axes, [(left, row) for row in range(num_target)], values, families, font_size)
        axes.text(left + 0.5, -0.2, name, ha="left", va="bottom", rotation=45, rotation_mode="anchor", **style)
    return len(alignment.target_figures) + OFFSET if alignment.target_figures else 0.0


def _draw_cells(
    axes: Axes,
    corners: Sequence[tuple[float, float]],
    values: Sequence[float],
    families: list[str],
    font_size: float,
) -> None:
    largest = max(values, default=0.0) or 1.0
    for (left, top), value in zip(corners, values, strict=True):
        shade = SHADES(max(value, 0.0) / largest)
        axes.add_patch(Rectangle((left, top), 1, 1, facecolor=shade, edgecolor="#e4e4e4", linewidth=0.6, clip_on=False))
        axes.text(
            left + 0.5,
            top + 0.55,
            f"{value:.1f}".removesuffix(".0"),
            fontsize=font_size * 0.72,
            family=families,
            color=INK,
            ha="center",
            va="center",
        )
