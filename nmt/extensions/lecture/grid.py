"""Pictures of every attention head of a sentence pair."""

from collections.abc import Collection, Sequence
from functools import partial
from itertools import chain, groupby
from typing import Any

from matplotlib.patches import Rectangle

from nmt.alignment.links import GoldLinks, WordAlignment
from nmt.plotting.matrix import Draw, draw_directions, draw_legend, draw_matrix, draw_weights, shown_words
from nmt.plotting.style import INK, Picture, draw_colour_bar, panels, scaled, style
from nmt.translation.translator import Translator

CHOSEN: dict[str, Any] = {"facecolor": "none", "edgecolor": INK, "linewidth": 1.8}


def plot_heads(translator: Translator, source: str, target: str) -> Picture:
    """Draws each attention head on a sentence pair, a row for each layer."""
    [alignment] = translator.align([(source, target)], all_heads=True)
    return grid_of(translator)(alignment, None, None, False)


def grid_of(translator: Translator) -> Draw:
    """Returns the function that draws the heads of a translator's model, as ``nmt align --grid`` does."""
    heads = translator.model.decoder.heads
    layers = [[head.short_name for head in layer] for _, layer in groupby(heads, key=lambda head: head.layer)]
    return partial(draw_grid, layers=layers, chosen=translator.aligner.heads.heads)


def draw_grid(
    alignment: WordAlignment,
    gold: GoldLinks | None = None,
    title: str | None = None,
    numbers: bool = False,
    *,
    layers: Sequence[Sequence[str]],
    chosen: Collection[int],
) -> Picture:
    """Draw every attention head of a sentence pair, a row a layer; a model with one head as
    :func:`nmt.plotting.matrix.draw_matrix` does.

    All matrices have the words in the same order, which are written along the first row and column. A dark frame marks
    the heads whose mean the links are taken from.

    Args:
        alignment: with ``head_weights``.
        gold, title, numbers: as in :func:`nmt.plotting.matrix.draw_matrix`.
        layers: names of the heads of each layer, in the order of ``head_weights``.
        chosen: indices of the heads that links are taken from.

    Raises:
        UserError: as :func:`nmt.plotting.matrix.draw_matrix`.
    """
    if alignment.head_weights is None or len(alignment.head_weights) == 1:
        return draw_matrix(alignment, gold, title, numbers)
    source, target = shown_words(alignment, gold)
    num_source, num_target = max(len(source), 1), max(len(target), 1)
    num_rows, num_columns = len(layers), max(map(len, layers))
    # Words, and numbers where they are asked for, are readable up to 25 words, in a picture of 40 inches at most.
    cell = max(scaled(0.26 if numbers else 0.15), 2.4 / max(num_source, num_target))
    cell = min(cell, scaled(0.3), 36 / (num_columns * num_source), 36 / (num_rows * num_target))
    with style([*source, *target]):
        figure, grid = panels(num_rows, num_columns, num_source * cell, num_target * cell)
        heads = [axes for row, names in zip(grid, layers, strict=True) for axes in row[: len(names)]]
        starts = [row[0] for row in grid]
        for axes, name, weights in zip(heads, chain(*layers), alignment.head_weights, strict=True):
            words = source if axes in grid[0] else [], target if axes in starts else []
            draw_weights(axes, weights, *words, gold, numbers)
            axes.set_title(f"{title}\n{name}" if title and axes is heads[0] else name, fontsize=scaled(9), pad=4)
        for head in chosen:
            heads[head].add_patch(Rectangle((0, 0), num_source, num_target, zorder=4, clip_on=False, **CHOSEN))
        draw_directions(heads[0])
        bar = draw_colour_bar(heads[0], "attention", figure.get_figwidth() / cell)
        frame = Rectangle((0, 0), 1, 1, label="links are taken from here", **CHOSEN)
        draw_legend(grid[-1][0], [frame], gold, max(num_target, bar))
    return figure
