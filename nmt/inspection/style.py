"""How lines of several runs or models look in one picture.

Colours are those of Okabe & Ito (2008), which colour-blind readers can tell apart; beyond seven the lines are dashed
as well.
"""

import math
from typing import Any

from matplotlib.axes import Axes

from nmt.alignment.matrix import FAINT_INK, GRID
from nmt.fonts import visible

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


def line_name(name: str) -> str:
    """The name of a run or model with nothing in it that a legend can't show."""
    return " ".join(map(visible, name.split()))


def line_style(number: int, num_lines: int) -> dict[str, Any]:
    """The line with a number: the later it is drawn the thinner, so that it never hides one that it coincides with."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
        "linewidth": 1.2 + 1.4 * (num_lines - 1 - number) / num_lines,
    }


def legend_columns(num_lines: int, most: int) -> int:
    """As few rows as fit, and these equally long."""
    rows = math.ceil(num_lines / max(1, most))
    return math.ceil(num_lines / rows)


def quiet_axes(axes: Axes) -> None:
    """A faint grid behind the lines, and no more of a frame than two sides."""
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=FAINT_INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)
