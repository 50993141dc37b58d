"""Pictures of word alignments: the attention matrix of a sentence pair.

Source words run along the top, target words down the side. A cell is as dark as the attention that the target word
pays to the source word (white 0, dark blue 1 in every picture, so that pictures can be compared). A dot marks a link
of the model, an orange square a sure gold link, a dashed one a possible gold link.

Lengths are in inches: a cell has a fixed size, and the figure grows with the number of words.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nmt.alignment.links import GoldLinks, WordAlignment
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.plotting.style import (
    DIAGNOSTIC_SHADES,
    FAINT_INK,
    GOLD,
    INK,
    Picture,
    Weights,
    cell_size,
    draw_cells,
    draw_colour_bar,
    font_size,
    inset,
    panels,
    scaled,
    style,
    suffix_of,
    visible,
    write_figures,
)

MAX_WORDS = 400
SURE: dict[str, Any] = {"facecolor": "none", "edgecolor": GOLD}
POSSIBLE: dict[str, Any] = {**SURE, "linestyle": (0, (2.2, 1.4))}

Draw = Callable[[WordAlignment, GoldLinks | None, str | None, bool], Picture]
"""Draws a sentence pair with its gold links and title, with or without numbers."""


def draw_matrix(
    alignment: WordAlignment,
    gold: GoldLinks | None = None,
    title: str | None = None,
    numbers: bool = False,
    *,
    scale: str = "attention",
) -> Picture:
    """Draw one sentence pair.

    Right of the matrix of a dialogue stands the attention that each turn gets. Diagnostics of source words, such as
    their ponder steps, stand below the matrix, those of target words on its right.

    Args:
        title, numbers: a line above the picture; whether the weights are written into the cells.
        scale: the label of the scale of colours.

    Raises:
        UserError: a gold link is outside the sentence pair.
    """
    source, target = shown_words(alignment, gold)
    num_source, num_target = max(len(source), 1), max(len(target), 1)
    num_words = max(num_source, num_target)
    # Large for a few words, readable up to 60 words, and a picture of 30 inches at most.
    cell = min(max(scaled(0.22), 8 / num_words), 0.45, 30 / num_words)
    with style([*source, *target]):
        figure, [[axes]] = panels(1, 1, num_source * cell, num_target * cell)
        draw_weights(axes, alignment.weights, source, target, gold, numbers)
        _draw_links(axes, alignment, in_corner=numbers)
        draw_directions(axes)
        right: float = num_source
        if alignment.turn_weights is not None:
            right += _draw_turns(axes, alignment, alignment.turn_weights)
        right += _draw_diagnostics(axes, alignment.target_diagnostics, right, below=False)
        below = num_target + _draw_diagnostics(axes, alignment.source_diagnostics, num_target, below=True)
        below = max(below, draw_colour_bar(axes, scale, right))
        dot = Line2D([], [], linestyle="", marker="o", markersize=4, color=INK, label="model link")
        draw_legend(axes, [dot] if alignment.links else [], gold, below)
        axes.set_title(title or "", pad=9)
    return figure


def plot_alignments(
    alignments: Iterable[WordAlignment],
    path: Path,
    *,
    gold: Sequence[GoldLinks] | None = None,
    numbers: bool = False,
    draw: Draw = draw_matrix,
) -> list[Path]:
    """Draw many sentence pairs: a PDF with a page for each, or a PNG or SVG file for each.

    A single pair is written to ``path`` itself; the files of several pairs have the number of the pair in their name.
    A pair with more than MAX_WORDS words on a side is left out, with a warning. Returns the files written.

    Raises:
        UserError: as :func:`draw_matrix` and :func:`nmt.plotting.style.write_figures`; or there is no pair that can be
            drawn, or gold for fewer pairs than there are.
    """
    suffix_of(path)  # before any work
    pairs = enumerate(alignments, start=1)
    first, second = next(pairs, None), next(pairs, None)

    def drawings() -> Iterator[tuple[int | None, Picture]]:
        for number, alignment in chain(filter(None, (first, second)), pairs):
            if gold is not None and number > len(gold):
                remedy = "The gold needs a line for each sentence pair; a pair without links is an empty line."
                raise UserError(f"gold links for {len(gold)} sentence pairs, but there are more pairs", remedy)
            if (num_words := max(len(alignment.source), len(alignment.target))) > MAX_WORDS:
                warn(f"sentence {number} has {num_words} words, too many to draw: left out.")
                continue
            links, title = gold[number - 1] if gold is not None else None, f"Sentence {number}" if second else None
            yield number if second else None, draw(alignment, links, title, numbers)

    written = write_figures(drawings(), path)
    if not written:
        remedy = "Write the links with the format pharaoh or json, or split the sentences."
        raise UserError(f"there are no sentence pairs of at most {MAX_WORDS} words to draw", remedy)
    return written


def shown_words(alignment: WordAlignment, gold: GoldLinks | None) -> tuple[list[str], list[str]]:
    """Source and target words as a picture can show them; raises UserError if a gold link is outside the pair."""
    if gold is not None:
        alignment.check_gold(gold[0] | gold[1])
    return list(map(visible, alignment.source)), list(map(visible, alignment.target))


def draw_weights(
    axes: Axes, weights: Weights, source: list[str], target: list[str], gold: GoldLinks | None, numbers: bool
) -> None:
    """The cells with frames around gold links, thick enough to be seen on the darkest shade, and with numbers."""
    draw_cells(axes, weights, source, target)
    width = max(cell_size(axes) * 4, min(cell_size(axes) * 8, 1.2))
    for links, frame in ((gold[1] - gold[0], POSSIBLE), (gold[0], SURE)) if gold is not None else ():
        for column, row in sorted(links):
            axes.add_patch(Rectangle((column + 0.08, row + 0.08), 0.84, 0.84, zorder=3, linewidth=width, **frame))
    if numbers:
        texts = {place: f"{weight:.2f}"[1:] if weight < 0.995 else "1" for place, weight in np.ndenumerate(weights)}
        write_numbers(axes, {place: text for place, text in texts.items() if text != ".00"}, weights)


def write_numbers(axes: Axes, texts: Mapping[tuple[int, ...], str], weights: Weights) -> None:
    """Text in cells, by row and column: white where the weight makes the cell dark."""
    # in_layout=False: it is inside the matrix, and to measure thousands of them takes seconds.
    settings: dict[str, Any] = {"fontsize": font_size(axes) * 0.72, "ha": "center", "va": "center", "in_layout": False}
    for (row, column), text in texts.items():
        colour = "white" if weights[row, column] > 0.5 else INK
        axes.text(column + 0.5, row + 0.55, text, color=colour, zorder=5, **settings)


def _draw_links(axes: Axes, alignment: WordAlignment, in_corner: bool) -> None:
    """A dot in each linked cell, or in its corner where the middle is taken by a number."""
    if alignment.links:
        sources, targets = np.array(alignment.links).T
        shift, size = (0.17, 0.13) if in_corner else (0.5, 0.22)
        colours = np.where(alignment.weights[targets, sources] > 0.5, "white", INK).tolist()
        area = (72 * cell_size(axes) * size) ** 2
        axes.scatter(sources + shift, targets + shift, s=area, c=colours, linewidths=0, zorder=4)


def draw_directions(axes: Axes, text: str = "target ↓   source →") -> None:
    """Writes the names of rows and columns into the corner between them."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right"}
    axes.annotate(text, (0, 1), (-6, 4), fontsize=scaled(8), color=FAINT_INK, **place)


def _draw_turns(axes: Axes, alignment: WordAlignment, turn_weights: Weights) -> float:
    """Lines between the turns of a dialogue, and right of the matrix the attention to each; its width in cells."""
    num_turns: int = turn_weights.shape[1]
    strip = inset(axes, axes.get_xlim()[1] + 1, 0, num_turns, axes.get_ylim()[0])
    names = [*(f"turn {number}" for number in range(1, num_turns)), "current turn"]
    draw_cells(strip, turn_weights, names, colour=FAINT_INK)
    for column in (np.flatnonzero(np.diff(alignment.turns)) + 1).tolist():
        axes.axvline(column, color=INK, linewidth=min(1.4, cell_size(axes) * 4), zorder=2.2)
    return 1 + num_turns


def _draw_diagnostics(axes: Axes, diagnostics: Mapping[str, Sequence[float]], start: float, *, below: bool) -> float:
    """A strip for each diagnostic of words, right of the matrix from this column on, or below; their size in cells."""
    if not diagnostics:
        return 0
    gap, names = 0.35, list(diagnostics)
    values = np.array([list(words) for words in diagnostics.values()])
    shares = np.maximum(values, 0) / np.maximum(values.max(axis=1, keepdims=True, initial=0), 1e-9)
    if not below:
        values, shares = values.T, shares.T
    num_rows, num_columns = np.maximum(values.shape, 1).tolist()
    strip = inset(axes, 0 if below else start + gap, start + gap if below else 0, num_columns, num_rows)
    draw_cells(strip, shares, [] if below else names, names if below else [], DIAGNOSTIC_SHADES, FAINT_INK)
    write_numbers(strip, {place: f"{value:.3g}" for place, value in np.ndenumerate(values)}, np.zeros_like(values))
    return gap + len(names)


def draw_legend(axes: Axes, entries: Sequence[Artist], gold: GoldLinks | None, below: float) -> None:
    """Draws the legend ``below`` cells under the top of the axes."""
    entries = list(entries)
    if gold is not None:
        entries.append(Rectangle((0, 0), 1, 1, **SURE, label="gold, sure"))
        if gold[1] - gold[0]:
            entries.append(Rectangle((0, 0), 1, 1, **POSSIBLE, label="gold, possible"))
    if entries:
        anchor = 0, below + 0.1 / cell_size(axes)
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": anchor, "bbox_transform": axes.transData}
        size: dict[str, Any] = {"fontsize": scaled(8), "borderaxespad": 0, "borderpad": 0}
        size |= {"handlelength": 1, "handleheight": 1}
        axes.legend(handles=entries, ncols=len(entries), **place, **size)
