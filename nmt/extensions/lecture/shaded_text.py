"""The attention of a classifier as the text itself: the ground of a word is as dark as its weight within its sentence,
and before each sentence stands its own weight (Yang et al. 2016, figure 5).

Lengths are in inches of the theme `paper`, as those of the axes.
"""

from typing import Any

import numpy as np

from nmt.alignment.links import GoldLinks, WordAlignment
from nmt.plotting.style import DIAGNOSTIC_SHADES, FAINT_INK, INK, SHADES, Picture, scaled, style, themed, visible

WIDTH, LINE, MARGIN, GAP = 7.5, 0.3, 0.6, 0.1
"""Width of the picture; distance of lines; margin left of the words, for a sentence's weight; space between words."""


def draw_document(
    alignment: WordAlignment, gold: GoldLinks | None = None, title: str | None = None, numbers: bool = False
) -> Picture:
    """Draw a document and its label.

    Args:
        alignment: the words, and their weights and turns; a text without turns is one sentence.
        gold: not shown.
        title: a line above the picture, followed by the label.
        numbers: write the weights of words too.
    """
    words, label = list(map(visible, alignment.source)), visible(" ".join(alignment.target))
    weight_S = alignment.weights.max(axis=0, initial=0)
    turns = np.array(alignment.turns if alignment.turn_weights is not None else [0] * len(words), np.int64)
    sentence_U = np.ones(1) if alignment.turn_weights is None else alignment.turn_weights.max(axis=0, initial=0)
    with style([*words, label]):
        figure = Picture(figsize=(WIDTH, 1))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        y, right = 0.0, MARGIN

        def write(x: float, text: str, weight: float, shades: Any) -> float:
            """Text on its shade; where the next one may begin."""
            box = {"facecolor": themed(shades)(weight), "edgecolor": "none", "pad": 1.5}
            written = axes.text(x, y, text, fontsize=scaled(10), color="white" if weight > 0.5 else INK, bbox=box)
            return float(x + written.get_window_extent().width / figure.dpi / scaled(1) + GAP)

        for turn, weight in enumerate(sentence_U):
            if alignment.turn_weights is not None:
                write(0, f"{weight:.2f}", weight, DIAGNOSTIC_SHADES)
            x = MARGIN
            for index in np.flatnonzero(turns == turn):
                share = min(float(weight_S[index] / max(weight, 1e-9)), 1.0)
                if x > WIDTH - 0.8:
                    x, y = MARGIN, y - LINE
                x = write(x, f"{words[index]} {share:.2f}" if numbers else words[index], share, SHADES)
                right = max(right, x)
            y -= LINE
        axes.text(0, LINE, f"{title}: {label}" if title else label, fontsize=scaled(10), color=FAINT_INK)
        figure.set_size_inches(scaled(right), scaled(1.5 * LINE - y))
        axes.set(xlim=(0, right), ylim=(y, 1.5 * LINE))
    return figure
