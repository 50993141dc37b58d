"""The picture of every attention head of a model: a small matrix each, a row a layer, a column a head.

All have the words of the sentence pair in the same order, which are written along the first row and column, and the
shades of :mod:`nmt.alignment.matrix`. A dark frame marks the heads whose mean the links are taken from.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nmt.alignment.heads import by_layer, short_name
from nmt.alignment.links import WordAlignment
from nmt.alignment.matrix import (
    INK,
    GoldLinks,
    check,
    draw_bar,
    draw_directions,
    draw_legend,
    draw_matrix,
    draw_title,
    draw_weights,
    fit,
    gold_entries,
    label_axes,
)
from nmt.fonts import font_families, quiet_fonts, visible

ACROSS, DOWN = 0.2, 0.34
"""Inches between neighbours; the names of heads stand between those above one another."""


@quiet_fonts()
def draw_grid(
    alignment: WordAlignment,
    gold: GoldLinks | None,
    title: str | None,
    numbers: bool,
    dpi: int,
    *,
    names: Sequence[str],
    chosen: Collection[int],
) -> Figure:
    """The figure of one sentence pair; of a model with one head, that of :func:`nmt.alignment.matrix.draw_matrix`.

    Args:
        alignment: with ``head_weights``.
        gold, title, numbers, dpi: see :func:`nmt.alignment.plots.plot_alignment`.
        names: of the heads, in the order of their weights; the decoder's ``head_names``.
        chosen: indices of the heads that links are taken from.

    Raises:
        UserError: a sentence is too long, or a gold link is outside the sentence pair.
    """
    if len(names) == 1:
        return draw_matrix(alignment, gold, title, numbers, dpi)
    assert alignment.head_weights is not None
    check(alignment, gold)
    layers = by_layer(names)
    num_rows, num_columns = len(layers), max(map(len, layers))
    num_source, num_target = max(len(alignment.source), 1), max(len(alignment.target), 1)
    cell = _cell_size(num_columns * num_source, num_rows * num_target, max(num_source, num_target), numbers)
    width, height = num_source * cell, num_target * cell
    right, total = num_columns * (width + ACROSS) - ACROSS, num_rows * (height + DOWN) - DOWN
    figure = Figure(figsize=(right, total), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    source, target = ([visible(word) for word in side] for side in (alignment.source, alignment.target))
    title = " ".join(map(visible, (title or "").split()))
    families = font_families([*source, *target, title])

    panels: list[Axes] = []
    places = [(row, column, head) for row, heads in enumerate(layers) for column, head in enumerate(heads)]
    for row, column, head in places:
        corner = (column * (width + ACROSS) / right, 1 - (row * (height + DOWN) + height) / total)
        axes = figure.add_axes((*corner, width / right, height / total), xlim=(0, num_source), ylim=(num_target, 0))
        panels.append(axes)
        own = replace(alignment, weights=alignment.head_weights[head])
        draw_weights(axes, own, gold, numbers, cell, families, num_panels=len(names))
        label_axes(axes, source if row == 0 else [], target if column == 0 else [], cell, families)
        axes.set_title(short_name(names[head]), loc="left", fontsize=9, family=families, color=INK, pad=4)
        if head in chosen:
            for spine in axes.spines.values():
                spine.set(color=INK, linewidth=1.8, zorder=4)
    draw_directions(panels[0], families)
    bar = draw_bar(figure, right, total, right, families)
    frame = Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=INK, linewidth=1.8, label="links are taken from here")
    entries: list[Artist] = [frame, *gold_entries(gold)]
    draw_legend(figure, panels[len(names) - len(layers[-1])], entries, families)
    if title:
        draw_title(figure, panels[0], title, families)
    fit(figure, [*panels, bar], dpi)
    return figure


def _cell_size(num_across: int, num_down: int, num_words: int, numbers: bool) -> float:
    """Side of a cell: words can be read up to 25, numbers too where they are asked for, and 40 inches at most."""
    smallest = 0.26 if numbers else 0.15
    return min(max(smallest, 2.4 / num_words), 0.3, 36 / num_across, 36 / num_down)
