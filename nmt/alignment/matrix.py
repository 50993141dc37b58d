"""The picture of an alignment: a matrix of source words along the top and target words down the side.

Each cell is as dark as the attention that the target word pays to the source word (white 0, dark blue 1,
on every picture, so that pictures can be compared). A dot marks a link of the model, an orange square a
sure link of the gold, a dashed one a possible link. Blue and orange (Okabe & Ito 2008) stay apart for
colour-blind readers.

Of a dialogue, lines part the turns of the source, and a strip on the right shows how much attention each turn gets.

Lengths are in inches: a cell has a fixed size, and the figure grows with the words.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox, ScaledTranslation, Transform

from nmt.alignment.links import Links, Weights, WordAlignment
from nmt.alignment.strips import draw_strips
from nmt.errors import UserError
from nmt.fonts import font_families, quiet_fonts, visible

GoldLinks = tuple[Links, Links]
"""Sure and possible links of a sentence pair."""

MAX_WORDS = 400
MARGIN = 0.15
GAP = 0.12
TURN_GAP = 1.0
"""Columns between the words and the strip of turns."""
INK = "#1b1b1b"
FAINT_INK = "#767676"
GRID = "#e4e4e4"
GRID_OF_FIVE = "#b9c2cc"
GOLD = "#d55e00"
SHADES = LinearSegmentedColormap.from_list(
    "alignment", ["#ffffff", "#d6e4f2", "#9dc2e0", "#5797c9", "#2367a4", "#0b3566"]
)
# Above this many cells SVG and PDF hold the shading as an image; as shapes, viewers would crawl.
MAX_VECTOR_CELLS = 10_000


@quiet_fonts()
def draw_matrix(alignment: WordAlignment, gold: GoldLinks | None, title: str | None, numbers: bool, dpi: int) -> Figure:
    """The figure of one sentence pair; for the arguments see :func:`nmt.alignment.plots.plot_alignment`."""
    num_source, num_target = len(alignment.source), len(alignment.target)
    check(alignment, gold)
    cell = _cell_size(max(num_source, num_target, 1))
    # An empty sentence is drawn as one empty row or column, so that the other one can be read.
    width, height = max(num_source, 1) * cell, max(num_target, 1) * cell
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width / cell), ylim=(height / cell, 0))
    words = [[visible(word) for word in side] for side in (alignment.source, alignment.target)]
    title = " ".join(map(visible, (title or "").split()))
    families = font_families([*words[0], *words[1], title])

    draw_weights(axes, alignment, gold, numbers, cell, families)
    _draw_links(axes, alignment, cell, in_corner=numbers)
    label_axes(axes, words[0], words[1], cell, families)
    draw_directions(axes, families)
    all_axes, right = [axes], width
    if alignment.turn_weights is not None:
        all_axes.append(_draw_turns(axes, alignment.turn_weights, alignment.turns, cell, families))
        right += (alignment.turn_weights.shape[1] + TURN_GAP) * cell
    right += draw_strips(axes, alignment, right / cell, families, _font_size(cell)) * cell
    bar = draw_bar(figure, width, height, right, families)
    draw_legend(figure, axes, [*_link_entries(alignment), *gold_entries(gold)], families)
    if title:
        draw_title(figure, axes, title, families)
    fit(figure, [*all_axes, bar], dpi)
    return figure


def _cell_size(num_words: int) -> float:
    """Side of a cell: large for a few words, readable up to 60, and a picture of 30 inches at most."""
    return min(max(0.22, 8 / num_words), 0.45, 30 / num_words)


def _font_size(cell: float) -> float:
    return min(cell * 72 * 0.6, 11.0)


def draw_weights(
    axes: Axes,
    alignment: WordAlignment,
    gold: GoldLinks | None,
    numbers: bool,
    cell: float,
    families: list[str],
    num_panels: int = 1,
) -> None:
    """A matrix with its gold and its numbers, where there are any, in a picture of so many matrices."""
    _draw_cells(axes, alignment, cell, num_panels)
    if gold is not None:
        _draw_gold(axes, gold, cell)
    if numbers:
        _draw_numbers(axes, alignment, cell, families)


def _draw_cells(axes: Axes, alignment: WordAlignment, cell: float, num_panels: int) -> None:
    """Shades, lines between words and the frame."""
    num_target, num_source = alignment.weights.shape
    if alignment.weights.size:
        axes.pcolormesh(
            alignment.weights,
            cmap=SHADES,
            norm=Normalize(0, 1),
            rasterized=alignment.weights.size * num_panels > MAX_VECTOR_CELLS,
        )
    line: dict[str, Any] = {"linewidth": min(0.7, cell * 2), "zorder": 2}
    for column in range(1, num_source):
        axes.axvline(column, color=GRID_OF_FIVE if column % 5 == 0 else GRID, **line)
    for row in range(1, num_target):
        axes.axhline(row, color=GRID_OF_FIVE if row % 5 == 0 else GRID, **line)
    for spine in axes.spines.values():
        spine.set(color=GRID_OF_FIVE, linewidth=0.9, zorder=2.5)


def _draw_gold(axes: Axes, gold: GoldLinks, cell: float) -> None:
    """Frames of true links, thick enough to be seen on the darkest shade."""
    sure, possible = gold
    width = max(cell * 4, min(cell * 8, 1.2))
    for links, style in ((possible - sure, _possible_style()), (sure, _sure_style())):
        for source, target in sorted(links):
            axes.add_patch(Rectangle((source + 0.08, target + 0.08), 0.84, 0.84, zorder=3, linewidth=width, **style))


def _sure_style() -> dict[str, Any]:
    # No filling: a tint would change the shade that shows the attention.
    return {"facecolor": "none", "edgecolor": GOLD}


def _possible_style() -> dict[str, Any]:
    return {"facecolor": "none", "edgecolor": GOLD, "linestyle": (0, (2.2, 1.4))}


def _draw_links(axes: Axes, alignment: WordAlignment, cell: float, in_corner: bool) -> None:
    """A dot in each linked cell, or in its corner where the middle is taken by a number."""
    if not alignment.links:
        return
    links = np.array(alignment.links)
    weights = alignment.weights[links[:, 1], links[:, 0]]
    shift = 0.17 if in_corner else 0.5
    size = 72 * cell * (0.13 if in_corner else 0.22)
    colours = ["white" if weight > 0.5 else INK for weight in weights]
    axes.scatter(links[:, 0] + shift, links[:, 1] + shift, s=size**2, c=colours, linewidths=0, zorder=4)


def _draw_numbers(axes: Axes, alignment: WordAlignment, cell: float, families: list[str]) -> None:
    """Weights of 0.01 and more, as hundredths after the point."""
    for target, source in zip(*np.nonzero(alignment.weights >= 0.005), strict=True):
        weight = float(alignment.weights[target, source])
        axes.text(
            source + 0.5,
            target + 0.55,
            "1" if weight >= 0.995 else f"{weight:.2f}"[1:],
            fontsize=_font_size(cell) * 0.72,
            family=families,
            color="white" if weight > 0.5 else INK,
            ha="center",
            va="center",
            zorder=5,
            in_layout=False,  # they are inside the matrix: measuring thousands of them takes seconds
        )


def label_axes(axes: Axes, source: Sequence[str], target: Sequence[str], cell: float, families: list[str]) -> None:
    """Source words above, target words on the left; none where a side is empty."""
    style: dict[str, Any] = {"fontsize": _font_size(cell), "family": families, "color": INK}
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=3)
    # parse_math=False: a `$` in a word is a dollar sign. Rotated words start above their cell.
    axes.set_xticks(
        np.arange(len(source)) + 0.5,
        source,
        rotation=45,
        rotation_mode="anchor",
        ha="left",
        va="baseline",
        parse_math=False,
        **style,
    )
    axes.set_yticks(np.arange(len(target)) + 0.5, target, parse_math=False, **style)


def draw_directions(axes: Axes, families: list[str]) -> None:
    """Which words are the source, which the target, in the corner between the two."""
    axes.text(
        0,
        1,
        "target ↓   source →",
        transform=_beside(axes, -0.08, 0.06),
        ha="right",
        va="bottom",
        fontsize=8,
        family=families,
        color=FAINT_INK,
    )


def _draw_turns(axes: Axes, weights: Weights, turns: Sequence[int], cell: float, families: list[str]) -> Axes:
    """Lines between the words of different turns, and right of them the attention that each turn gets as a whole."""
    num_target, num_turns = weights.shape
    for column in range(1, len(turns)):
        if turns[column] != turns[column - 1]:
            axes.axvline(column, color=INK, linewidth=min(1.4, cell * 4), zorder=2.2)
    box = axes.get_position()
    unit = box.width / max(len(turns), 1)  # width of a cell as a share of the figure
    strip = axes.figure.add_axes((box.x1 + TURN_GAP * unit, box.y0, num_turns * unit, box.height))
    strip.set(xlim=(0, num_turns), ylim=axes.get_ylim())
    if weights.size:
        strip.pcolormesh(weights, cmap=SHADES, norm=Normalize(0, 1))
    for column in range(1, num_turns):
        strip.axvline(column, color=INK, linewidth=min(1.4, cell * 4), zorder=2.2)
    for row in range(1, num_target):
        strip.axhline(row, color=GRID_OF_FIVE if row % 5 == 0 else GRID, linewidth=min(0.7, cell * 2), zorder=2)
    for spine in strip.spines.values():
        spine.set(color=GRID_OF_FIVE, linewidth=0.9, zorder=2.5)
    strip.xaxis.tick_top()
    strip.tick_params(length=0, pad=3)
    names = [*(f"turn {number}" for number in range(1, num_turns)), "current turn"]
    style: dict[str, Any] = {"fontsize": _font_size(cell), "family": families, "color": FAINT_INK}
    strip.set_xticks(
        np.arange(num_turns) + 0.5, names, rotation=45, rotation_mode="anchor", ha="left", va="baseline", **style
    )
    strip.set_yticks([])
    return strip


def draw_bar(figure: Figure, width: float, height: float, right: float, families: list[str]) -> Axes:
    """The scale of the shading: a thin bar right of all matrices, as high as they up to 1.4 inches."""
    length = min(1.4, max(height, 0.9))
    bar = figure.add_axes(((right + 0.16) / width, 1 - length / height, 0.09 / width, length / height))
    scale = figure.colorbar(ScalarMappable(Normalize(0, 1), SHADES), cax=bar, ticks=[0, 0.5, 1])
    scale.outline.set(edgecolor=GRID_OF_FIVE, linewidth=0.6)
    bar.tick_params(length=2, pad=2, color=GRID_OF_FIVE)
    bar.set_yticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=8, family=families, color=FAINT_INK)
    bar.set_ylabel("attention", fontsize=8, family=families, color=FAINT_INK, labelpad=3)
    return bar


# --- what stands around the matrix -----------------------------------------------------------------------


def _link_entries(alignment: WordAlignment) -> list[Artist]:
    if not alignment.links:
        return []
    return [Line2D([], [], linestyle="", marker="o", markersize=4, color=INK, label="model link")]


def gold_entries(gold: GoldLinks | None) -> list[Artist]:
    """Of the legend, where there is a gold."""
    if gold is None:
        return []
    entries: list[Artist] = [Rectangle((0, 0), 1, 1, **_sure_style(), label="gold, sure")]
    if gold[1] - gold[0]:
        entries.append(Rectangle((0, 0), 1, 1, **_possible_style(), label="gold, possible"))
    return entries


def draw_legend(figure: Figure, axes: Axes, entries: list[Artist], families: list[str]) -> None:
    """Below ``axes``, those at the bottom left, in one row where that is not wider than the picture."""
    if not entries:
        return
    bounds = _bounds(figure)
    figure.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=_beside(axes, 0, min(bounds.ymin, 0) - GAP),
        ncols=max(1, min(len(entries), int(bounds.xmax / 1.25))),
        prop={"family": families, "size": 8},
        labelcolor=FAINT_INK,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.4,
    )


def draw_title(figure: Figure, axes: Axes, title: str, families: list[str]) -> None:
    """Above all that is drawn so far; ``axes`` are those at the top left."""
    bounds = _bounds(figure)
    axes.text(
        0,
        1,
        textwrap.fill(title, max(24, int(bounds.width / 0.1))),
        transform=_beside(axes, bounds.xmin, bounds.ymax - axes.bbox.ymax / figure.dpi + GAP),
        ha="left",
        va="bottom",
        fontsize=11,
        # Fonts for other scripts often have no bold face, of which matplotlib would complain.
        fontweight="bold" if len(families) == 1 else "normal",
        family=families,
        color=INK,
        parse_math=False,
    )


def _beside(axes: Axes, right: float, up: float) -> Transform:
    """Fractions of the axes moved by inches, wherever the axes move later."""
    return axes.transAxes + ScaledTranslation(right, up, axes.figure.dpi_scale_trans)


def _bounds(figure: Figure) -> Bbox:
    """Box around all that is drawn, in inches from the lower left corner of the figure."""
    return figure.get_tightbbox()


def fit(figure: Figure, all_axes: Sequence[Axes], dpi: int) -> None:
    """Make the figure as large as what is drawn needs, without changing the size of the axes."""
    bounds = _bounds(figure).padded(MARGIN)
    boxes = [axes.get_window_extent().bounds for axes in all_axes]
    figure.set_size_inches(bounds.width, bounds.height)
    for axes, (left, bottom, width, height) in zip(all_axes, boxes, strict=True):
        axes.set_position(
            (
                (left / dpi - bounds.xmin) / bounds.width,
                (bottom / dpi - bounds.ymin) / bounds.height,
                width / dpi / bounds.width,
                height / dpi / bounds.height,
            )
        )


def check(alignment: WordAlignment, gold: GoldLinks | None) -> None:
    """Raises UserError where a sentence has more than MAX_WORDS words, or a gold link is outside the pair."""
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
