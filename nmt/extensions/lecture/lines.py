"""The attention of a sentence pair as lines: source words in a row, target words in a row below, and between two words
a line as thick as the attention that the target word pays to the source word.

Lengths are in inches of the theme `paper`, as those of the axes; line widths and font sizes in points.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nmt.alignment.links import GoldLinks, WordAlignment
from nmt.plotting.matrix import POSSIBLE, shown_words
from nmt.plotting.style import COLOURS, FAINT_INK, GOLD, Picture, scaled, style

HEIGHT, PADDING, GAP = 1.7, 0.26, 0.12
"""Lengths: width of the picture; height of a row of words; space between two words."""
MAX_WIDTH = 40.0
MAX_LINE_WIDTH = 6.0
"""The width of a line of weight 1."""
SMALLEST = 0.02
"""Minimum weight of a line that can be seen."""
SMALLEST_NUMBER = 0.1
BOX: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def draw_lines(
    alignment: WordAlignment, gold: GoldLinks | None = None, title: str | None = None, numbers: bool = False
) -> Picture:
    """Draw one sentence pair; the shorter row of words is centred. Links of the model have a darker line than others.

    Args:
        alignment: words, weights [T, S] and links; turns of dialogues and diagnostics are not shown.
        gold, title, numbers: as in :func:`nmt.plotting.matrix.draw_matrix`; numbers below 0.1 are left out.

    Raises:
        UserError: a gold link is outside the sentence pair.
    """
    source, target = shown_words(alignment, gold)
    with style([*source, *target]):
        figure = Picture(figsize=(MAX_WIDTH, HEIGHT))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        source_x, target_x = _write_rows(axes, (source, target))

        def connect(link: tuple[int, int], **line: Any) -> None:
            xs = source_x[link[0]], target_x[link[1]]
            axes.plot(xs, (HEIGHT - PADDING, PADDING), solid_capstyle="butt", **{"linestyle": "-", **line})

        weights = alignment.weights
        drawn: list[list[int]] = np.argwhere(weights >= SMALLEST).tolist()
        for t, s in sorted(drawn, key=lambda entry: weights[entry[0], entry[1]]):  # the strongest above all others
            weight = float(weights[t, s])
            is_link = (s, t) in alignment.links
            connect((s, t), color=COLOURS[0] if is_link else FAINT_INK, linewidth=scaled(MAX_LINE_WIDTH) * weight)
            if numbers and weight >= SMALLEST_NUMBER:
                # Near the target word, where fewer lines cross than in the middle.
                place = 0.2 * source_x[s] + 0.8 * target_x[t], PADDING + 0.2 * (HEIGHT - 2 * PADDING)
                axes.text(*place, f"{weight:.2f}", fontsize=scaled(7), ha="center", va="center", bbox=BOX)
        sure, possible = gold or (set(), set())
        for link in sorted(sure | possible):
            dashes = {} if link in sure else {"linestyle": POSSIBLE["linestyle"]}
            connect(link, color=GOLD, linewidth=scaled(1.2), **dashes)
        _draw_legend(axes, bool(alignment.links), gold)
        axes.set_title(title or "", pad=6)
    return figure


def _write_rows(axes: Axes, rows: Sequence[Sequence[str]]) -> list[list[float]]:
    """Write source and target words, fit the figure to the longer row, and give the middle of each word."""
    figure: Any = axes.figure
    tops = HEIGHT - PADDING + 0.05, PADDING - 0.05
    alignments = "bottom", "top"
    placed = [
        [axes.text(0, y, word, fontsize=scaled(11), ha="center", va=va) for word in words]
        for words, y, va in zip(rows, tops, alignments, strict=True)
    ]
    widths = [[text.get_window_extent().width / figure.dpi / scaled(1) + GAP for text in texts] for texts in placed]
    width = max(*map(sum, widths), 1.0)
    scale = min(1.0, MAX_WIDTH / width)
    figure.set_size_inches(scaled(width) * scale, scaled(HEIGHT))
    axes.set(xlim=(0, width), ylim=(0, HEIGHT))
    middles = []
    for texts, row in zip(placed, widths, strict=True):
        left = (width - sum(row)) / 2
        middles.append([left + sum(row[:index]) + own / 2 for index, own in enumerate(row)])
        for text, x in zip(texts, middles[-1], strict=True):
            text.set(x=x, fontsize=scaled(11) * scale)
    return middles


def _draw_legend(axes: Axes, has_links: bool, gold: GoldLinks | None) -> None:
    entries = [Line2D([], [], color=COLOURS[0], linewidth=3, label="model link")] if has_links else []
    if gold is not None:
        entries.append(Line2D([], [], color=GOLD, linewidth=1.2, linestyle="-", label="gold, sure"))
        if gold[1] - gold[0]:
            entries.append(
                Line2D([], [], color=GOLD, linewidth=1.2, linestyle=POSSIBLE["linestyle"], label="gold, possible")
            )
    if entries:
        axes.legend(handles=entries, ncols=len(entries), loc="upper left", bbox_to_anchor=(0, 0), fontsize=scaled(8))
