"""Pictures of word alignments: the attention matrix of a sentence pair, and one such matrix for each head.

Source words run along the top, target words down the side. A cell is as dark as the attention that the target word
pays to the source word (white 0, dark blue 1 in every picture, so that pictures can be compared). A dot marks a link
of the model, an orange square a sure gold link, a dashed one a possible gold link.

Lengths are in inches: a cell has a fixed size, and the figure grows with the number of words.
"""

import logging
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nmt.errors import UserError
from nmt.plotting.fonts import visible, visible_line
from nmt.plotting.style import (
    DIAGNOSTIC_SHADES,
    FAINT_INK,
    GOLD,
    INK,
    Weights,
    cell_size,
    draw_cells,
    draw_colour_bar,
    font_size,
    inset,
    label_axes,
    panels,
    style,
    suffix_of,
    write_figures,
)

Links = AbstractSet[tuple[int, int]]
GoldLinks = tuple[Links, Links]
"""Sure and possible links of a sentence pair, as (source word, target word)."""

MAX_WORDS = 400
SURE: dict[str, Any] = {"facecolor": "none", "edgecolor": GOLD}
POSSIBLE: dict[str, Any] = {**SURE, "linestyle": (0, (2.2, 1.4))}

logger = logging.getLogger(__name__)


class Alignment(Protocol):
    """The data of a picture; :class:`nmt.alignment.links.WordAlignment` says what each attribute means."""

    @property
    def source(self) -> Sequence[str]: ...
    @property
    def target(self) -> Sequence[str]: ...
    @property
    def weights(self) -> Weights: ...
    @property
    def links(self) -> Sequence[tuple[int, int]]: ...
    @property
    def turns(self) -> Sequence[int]: ...
    @property
    def turn_weights(self) -> Weights | None: ...
    @property
    def source_figures(self) -> Mapping[str, Sequence[float]]: ...
    @property
    def target_figures(self) -> Mapping[str, Sequence[float]]: ...
    @property
    def head_weights(self) -> Sequence[Weights] | None: ...


Draw = Callable[[Alignment, GoldLinks | None, str | None, bool], Figure]
"""Draws a sentence pair with its gold links and title, with or without numbers."""


def draw_matrix(
    alignment: Alignment, gold: GoldLinks | None = None, title: str | None = None, numbers: bool = False
) -> Figure:
    """Draw one sentence pair.

    Right of the matrix of a dialogue stands the attention that each turn gets. Diagnostics of source words, such as
    their ponder steps, stand below the matrix, those of target words on its right.

    Args:
        alignment: words, weights [T, S] and links.
        gold: sure and possible links to lay over it.
        title: a line above the picture.
        numbers: write the weights into their cells.

    Raises:
        UserError: a sentence has more than MAX_WORDS words, or a gold link is outside the sentence pair.
    """
    num_source, num_target = _check(alignment, gold)
    num_words = max(num_source, num_target)
    # Large for a few words, readable up to 60 words, and a picture of 30 inches at most.
    cell = min(max(0.22, 8 / num_words), 0.45, 30 / num_words)
    source, target, title = _visible(alignment, title)
    with style([*source, *target, title]):
        figure, [[axes]] = panels(1, 1, num_source * cell, num_target * cell)
        _draw_weights(axes, alignment.weights, gold, numbers)
        _draw_links(axes, alignment, in_corner=numbers)
        label_axes(axes, source, target)
        _draw_directions(axes)
        right = _draw_turns(axes, alignment)
        right = _draw_diagnostics(axes, alignment.target_figures, right)
        below = _draw_diagnostics(axes, alignment.source_figures, num_target, below=True)
        below = max(below, draw_colour_bar(axes, "attention", right))
        dot = Line2D([], [], linestyle="", marker="o", markersize=4, color=INK, label="model link")
        _draw_legend(axes, [dot] if alignment.links else [], gold, right * cell, below)
        if title:
            axes.set_title(_wrapped(title, right * cell), fontsize=11, pad=9)
    return figure


def draw_grid(
    alignment: Alignment,
    gold: GoldLinks | None = None,
    title: str | None = None,
    numbers: bool = False,
    *,
    layers: Sequence[Sequence[str]],
    chosen: Collection[int],
) -> Figure:
    """Draw every attention head of a sentence pair, a row a layer; a model with one head as :func:`draw_matrix` does.

    All matrices have the words in the same order, which are written along the first row and column. A dark frame marks
    the heads whose mean the links are taken from.

    Args:
        alignment: with ``head_weights``.
        gold, title, numbers: as in :func:`draw_matrix`.
        layers: names of the heads of each layer, in the order of ``head_weights``.
        chosen: indices of the heads that links are taken from.

    Raises:
        UserError: as :func:`draw_matrix`.
    """
    if alignment.head_weights is None or len(alignment.head_weights) == 1:
        return draw_matrix(alignment, gold, title, numbers)
    num_source, num_target = _check(alignment, gold)
    num_rows, num_columns = len(layers), max(map(len, layers))
    # Words, and numbers where they are asked for, are readable up to 25 words, in a picture of 40 inches at most.
    cell = max(0.26 if numbers else 0.15, 2.4 / max(num_source, num_target))
    cell = min(cell, 0.3, 36 / (num_columns * num_source), 36 / (num_rows * num_target))
    source, target, title = _visible(alignment, title)
    with style([*source, *target, title]):
        figure, grid = panels(num_rows, num_columns, num_source * cell, num_target * cell)
        heads = [axes for row, names in zip(grid, layers, strict=True) for axes in row[: len(names)]]
        starts = [row[0] for row in grid]
        headings = [axes.set_title(name, fontsize=9, pad=4) for axes, name in zip(heads, chain(*layers), strict=True)]
        for axes, weights in zip(heads, alignment.head_weights, strict=True):
            _draw_weights(axes, weights, gold, numbers, num_panels=len(heads))
            label_axes(axes, source if axes in grid[0] else [], target if axes in starts else [])
        for head in chosen:
            heads[head].spines[:].set(color=INK, linewidth=1.8, zorder=4)
        _draw_directions(heads[0])
        bar = draw_colour_bar(heads[0], "attention", figure.get_figwidth() / cell)
        label = "links are taken from here"
        frame = Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=INK, linewidth=1.8, label=label)
        _draw_legend(grid[-1][0], [frame], gold, figure.get_figwidth(), max(num_target, bar))
        if title:
            place: dict[str, Any] = {"xycoords": headings[0], "textcoords": "offset points"}
            heads[0].annotate(_wrapped(title, figure.get_figwidth()), (0, 1), (0, 8), fontsize=11, **place)
    return figure


def plot_alignments(
    alignments: Iterable[Alignment],
    path: Path,
    *,
    gold: Sequence[GoldLinks] | None = None,
    numbers: bool = False,
    draw: Draw = draw_matrix,
) -> list[Path]:
    """Draw many sentence pairs: a PDF with a page for each, or a PNG or SVG file for each.

    A single pair is written to ``path`` itself; the files of several pairs have the number of the pair in their name.
    A pair with more than MAX_WORDS words on a side is left out, with a warning.

    Args:
        alignments: what to draw; may be a generator.
        path: PNG, SVG or PDF by the suffix.
        gold: sure and possible links of each pair, in order.
        numbers: write the weights into their cells.
        draw: draws a pair: :func:`draw_matrix`, or :func:`draw_grid` with its last arguments given.

    Returns:
        The files written.

    Raises:
        UserError: as :func:`draw_matrix` and :func:`nmt.plotting.style.write_figures`; or there is no pair to draw, or
            gold for fewer pairs than there are.
    """
    suffix_of(path)  # before any work
    pairs = iter(alignments)
    first = list(islice(pairs, 2))
    if not first:
        raise UserError("there are no sentence pairs to draw", "Give a source and a target with lines.")
    several = len(first) > 1

    def drawings() -> Iterator[tuple[int, Figure]]:
        for number, alignment in enumerate(chain(first, pairs), start=1):
            if gold is not None and number > len(gold):
                raise UserError(
                    f"gold links for {len(gold)} sentence pairs, but there are more pairs",
                    "The gold needs a line for each sentence pair; a pair without links is an empty line.",
                )
            num_words = max(len(alignment.source), len(alignment.target))
            if num_words > MAX_WORDS and several:
                logger.warning("sentence %d has %d words, too many to draw: left out", number, num_words)
                continue
            title = f"Sentence {number}" if several else None
            yield number, draw(alignment, gold[number - 1] if gold is not None else None, title, numbers)

    written = write_figures(drawings(), path, numbered=several)
    if not written:
        raise UserError(
            f"all sentence pairs have more than {MAX_WORDS} words, too many to draw",
            "Write the links with the format pharaoh or json, or split the sentences.",
        )
    return written


def _check(alignment: Alignment, gold: GoldLinks | None) -> tuple[int, int]:
    """The columns and rows of the matrix. An empty side is drawn as one empty row or column.

    Raises:
        UserError: a sentence has more than MAX_WORDS words, or a gold link is outside the pair.
    """
    num_source, num_target = len(alignment.source), len(alignment.target)
    if max(num_source, num_target) > MAX_WORDS:
        raise UserError(
            f"a sentence of {max(num_source, num_target)} words is too long to draw (at most {MAX_WORDS})",
            "Write the links with the format pharaoh or json, or split the sentence.",
        )
    for source, target in sorted(gold[0] | gold[1]) if gold is not None else []:
        if source >= num_source or target >= num_target:
            raise UserError(
                f"gold link {source}-{target} is outside the pair of {num_source} source and {num_target} "
                f"target words that begins '{' '.join(alignment.source[:4])}'",
                "Tokenize the sentences as the gold is (`nmt align --tokenized`), and give the gold source word first.",
            )
    return max(num_source, 1), max(num_target, 1)


def _visible(alignment: Alignment, title: str | None) -> tuple[list[str], list[str], str]:
    """Source words, target words and title as a picture can show them."""
    source, target = ([visible(word) for word in side] for side in (alignment.source, alignment.target))
    return source, target, visible_line(title or "")


# --- parts of an alignment ---------------------------------------------------------------------------------


def _draw_weights(axes: Axes, weights: Weights, gold: GoldLinks | None, numbers: bool, num_panels: int = 1) -> None:
    """The cells with frames around gold links, thick enough to be seen on the darkest shade, and with numbers."""
    draw_cells(axes, weights, num_panels=num_panels)
    width = max(cell_size(axes) * 4, min(cell_size(axes) * 8, 1.2))
    for links, frame in ((gold[1] - gold[0], POSSIBLE), (gold[0], SURE)) if gold is not None else ():
        for source, target in sorted(links):
            axes.add_patch(Rectangle((source + 0.08, target + 0.08), 0.84, 0.84, zorder=3, linewidth=width, **frame))
    if numbers:
        texts = {place: f"{weight:.2f}"[1:] if weight < 0.995 else "1" for place, weight in np.ndenumerate(weights)}
        _write_numbers(axes, {place: text for place, text in texts.items() if text != ".00"}, weights)


def _write_numbers(axes: Axes, texts: Mapping[tuple[int, ...], str], weights: Weights) -> None:
    """Text in cells, by row and column: white where the weight makes the cell dark."""
    size = font_size(axes) * 0.72
    for (row, column), text in texts.items():
        axes.text(
            column + 0.5,
            row + 0.55,
            text,
            fontsize=size,
            color="white" if weights[row, column] > 0.5 else INK,
            ha="center",
            va="center",
            zorder=5,
            in_layout=False,  # it is inside the matrix: to measure thousands of them takes seconds
        )


def _draw_links(axes: Axes, alignment: Alignment, in_corner: bool) -> None:
    """A dot in each linked cell, or in its corner where the middle is taken by a number."""
    if alignment.links:
        sources, targets = np.array(alignment.links).T
        shift, size = (0.17, 0.13) if in_corner else (0.5, 0.22)
        colours = np.where(alignment.weights[targets, sources] > 0.5, "white", INK).tolist()
        points = 72 * cell_size(axes) * size
        axes.scatter(sources + shift, targets + shift, s=points**2, c=colours, linewidths=0, zorder=4)


def _draw_directions(axes: Axes) -> None:
    """Which words are the source and which the target, in the corner between the two."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right"}
    axes.annotate("target ↓   source →", (0, 1), (-6, 4), fontsize=8, color=FAINT_INK, **place)


def _draw_turns(axes: Axes, alignment: Alignment) -> float:
    """Lines between the turns of a dialogue, and right of the matrix the attention that each turn gets as a whole.

    Returns:
        The right end of all that, in cells.
    """
    num_source = axes.get_xlim()[1]
    if alignment.turn_weights is None:
        return num_source
    num_turns: int = alignment.turn_weights.shape[1]
    strip = inset(axes, num_source + 1, 0, num_turns, axes.get_ylim()[0])
    draw_cells(strip, alignment.turn_weights)
    names = [*(f"turn {number}" for number in range(1, num_turns)), "current turn"]
    label_axes(strip, names, (), FAINT_INK)
    starts = (np.flatnonzero(np.diff(alignment.turns)) + 1).tolist()
    for matrix, columns in ((axes, starts), (strip, range(1, num_turns))):
        for column in columns:
            matrix.axvline(column, color=INK, linewidth=min(1.4, cell_size(axes) * 4), zorder=2.2)
    return num_source + 1 + num_turns


def _draw_diagnostics(
    axes: Axes, diagnostics: Mapping[str, Sequence[float]], start: float, *, below: bool = False
) -> float:
    """A strip for each diagnostic of words, with its numbers: right of the matrix from this column on, or below it.

    Returns:
        The end of the strips, in cells.
    """
    if not diagnostics:
        return start
    gap = 0.35
    values = np.array([list(words) for words in diagnostics.values()])
    shares = np.maximum(values, 0) / np.maximum(values.max(axis=1, keepdims=True, initial=0), 1e-9)
    if not below:
        values, shares = values.T, shares.T
    num_rows, num_columns = np.maximum(values.shape, 1).tolist()
    strip = inset(axes, 0 if below else start + gap, start + gap if below else 0, num_columns, num_rows)
    draw_cells(strip, shares, DIAGNOSTIC_SHADES)
    label_axes(strip, () if below else [*diagnostics], [*diagnostics] if below else (), FAINT_INK)
    texts = {place: f"{value:.1f}".removesuffix(".0") for place, value in np.ndenumerate(values)}
    _write_numbers(strip, texts, np.zeros_like(values))
    return start + gap + len(diagnostics)


def _draw_legend(axes: Axes, entries: Sequence[Artist], gold: GoldLinks | None, width: float, below: float) -> None:
    """So many cells below the top of the axes, in one row where that is not wider than the picture."""
    entries = list(entries)
    if gold is not None:
        entries.append(Rectangle((0, 0), 1, 1, **SURE, label="gold, sure"))
    if gold is not None and gold[1] - gold[0]:
        entries.append(Rectangle((0, 0), 1, 1, **POSSIBLE, label="gold, possible"))
    if entries:
        axes.legend(
            handles=entries,
            loc="upper left",
            bbox_to_anchor=(0, below + 0.12 / cell_size(axes)),
            bbox_transform=axes.transData,
            ncols=max(1, min(len(entries), int(width / 1.25))),
            fontsize=8,
            labelcolor=FAINT_INK,
            borderpad=0,
            borderaxespad=0,
            handlelength=1.0,
            handleheight=1.0,
            columnspacing=1.4,
        )


def _wrapped(title: str, width: float) -> str:
    """The title in lines of so many inches, of which the words left of the matrix add some."""
    return textwrap.fill(title, max(24, int(width / 0.1) + 6))
