"""Parts that all pictures share: palette, matplotlib's settings, words and fonts, matrices of cells, and the files.

A figure is drawn inside ``with style(texts)``, where ``texts`` are the words and names it shows, and written by
:func:`write_figure` or :func:`write_figures`. Matplotlib 3.11 shapes text and orders right-to-left words itself; older
versions draw every letter from left to right.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.text import Text

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.files import complete, explained
from nmt.core.output import binary_file

Weights = npt.NDArray[np.floating]

INK, FAINT_INK, GRID = "#1b1b1b", "#767676", "#e4e4e4"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours of lines; from Okabe & Ito (2008), so that colour-blind readers can tell them apart."""
GOLD = COLOURS[1]
SHADES = LinearSegmentedColormap.from_list(
    "weights", ["#ffffff", "#d6e4f2", "#9dc2e0", "#5797c9", "#2367a4", "#0b3566"]
)
DIAGNOSTIC_SHADES = LinearSegmentedColormap.from_list("diagnostics", ["#ffffff", "#fbe3cf", "#f0b488", "#d98a52"])

SETTINGS: dict[str, Any] = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a `$` in a word is a dollar sign
    "axes.prop_cycle": cycler(linestyle=["-", "--", ":", "-."]) * cycler(color=COLOURS),
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.edgecolor": FAINT_INK,
    "axes.grid": True,
    "axes.axisbelow": True,  # the grid is behind points and bars
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in (("labelsize", 8), ("major.size", 0))},
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.15,
    "svg.fonttype": "none",  # text stays text: it can be searched, and the viewer chooses fonts
    "svg.hashsalt": "nmt",  # the same picture gives the same file
    "pdf.fonttype": 42,
}
# Warnings of matplotlib, in place of which font_families gives one with a remedy.
_WITHOUT_FONT = "Glyph .* missing|Matplotlib currently does not support"
# Above this many cells SVG and PDF hold the shading as an image; as shapes, viewers would be slow.
MAX_VECTOR_CELLS = 10_000
# By the suffixes of pictures. Without the time of writing the same picture gives the same file.
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}

BASE_FAMILY = "DejaVu Sans"  # comes with matplotlib
MAX_WORD_LENGTH = 42
# Joiners and variation selectors have a meaning inside a word (Persian, Indic scripts, emoji), and no glyph.
_JOINERS = frozenset("\u200c\u200d" + "".join(map(chr, range(0xFE00, 0xFE10))))
# Families without letters, or with glyphs that are not those of the character.
_NOT_FOR_TEXT = ("Last Resort", "STIX", "DejaVu Sans Display", "DejaVu Serif Display", "cm")
_warned: set[str] = set()

DARK_COLOURS = {
    INK: "#f2f2f2", FAINT_INK: "#aab2bd", GRID: "#3a424d", "#ffffff": "#15191f", "#000000": "#f2f2f2",
    "#0072b2": "#4aa8e8", "#d55e00": "#ff8a3d", "#009e73": "#2fcf9f", "#cc79a7": "#e79cc6", "#e69f00": "#ffc145",
    "#56b4e9": "#9bd6ff",
}  # fmt: skip
"""Colours of dark pictures, by those of light ones. White becomes the background, so cells change with their text."""
BACKGROUND = DARK_COLOURS["#ffffff"]
DARK_SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), DARK_COLOURS[INK]),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor"), BACKGROUND),
    "axes.edgecolor": DARK_COLOURS[FAINT_INK],
    "grid.color": DARK_COLOURS[GRID],
}
SCALED = ("font.size", "axes.titlesize", "xtick.labelsize", "ytick.labelsize", "lines.linewidth", "lines.markersize")


@dataclass(frozen=True)
class Theme:
    """Sizes and colours of pictures: factors of fonts and lines, and of the size of figures with curves."""

    scale: float = 1.0
    figure_scale: float = 1.0
    is_dark: bool = False

    def settings(self) -> dict[Any, Any]:
        """Returns matplotlib's settings in this theme."""
        sizes = {name: SETTINGS[name] * self.scale for name in SCALED}
        return SETTINGS | sizes | (DARK_SETTINGS if self.is_dark else {})


THEMES = {"paper": Theme(), "slides": Theme(1.8, 1.25), "slides-dark": Theme(1.8, 1.25, is_dark=True)}
"""In pictures for slides, words are in 14 points or more if a picture of 13 inches fills the slide."""
_theme: ContextVar[Theme] = ContextVar("theme", default=THEMES["paper"])


@contextmanager
def theme(name: str) -> Iterator[None]:
    """Draws pictures in a theme: ``paper``, ``slides`` with large fonts, or ``slides-dark``.

    Raises:
        UserError: there is no such theme.
    """
    if name not in THEMES:
        raise UserError(f"There is no theme {name!r}.", f"Choose one of {', '.join(THEMES)}.")
    token = _theme.set(THEMES[name])
    try:
        yield
    finally:
        _theme.reset(token)


def scaled(size: float) -> float:
    """Returns a font size, or a length that depends on fonts, in the current theme."""
    return size * _theme.get().scale


def curves_size(width: float, height: float) -> tuple[float, float]:
    """Returns the size in inches of a figure with curves in the current theme."""
    return width * _theme.get().figure_scale, height * _theme.get().figure_scale


def themed(shades: Colormap) -> Colormap:
    """Returns the shades of the current theme: those of dark pictures go from the background to the light ones."""
    dark = LinearSegmentedColormap.from_list(
        f"dark {shades.name}", [BACKGROUND, *(to_hex(shades(x)) for x in (0.75, 0.2))]
    )
    return dark if _theme.get().is_dark else shades


class Picture(Figure):
    """A figure in the theme in which it was drawn. A notebook shows it as SVG."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.theme = _theme.get()

    def savefig(self, fname: Any, *, settings: Any = None, **options: Any) -> None:
        """Writes the figure as matplotlib does, with further settings; a file is replaced when it is complete."""
        if self.theme.is_dark:
            _darken(self)
        settings = self.theme.settings() | (settings or {})
        with matplotlib.rc_context(settings), warnings.catch_warnings(), ExitStack() as stack:
            warnings.filterwarnings("ignore", message=_WITHOUT_FONT)
            if isinstance(fname, (str, os.PathLike)):
                path = Path(fname)
                if options.get("format") is None:
                    options["format"] = path.suffix[1:] or matplotlib.rcParams["savefig.format"]
                    path = path if path.suffix else path.with_name(f"{path.name}.{options['format']}")
                fname = stack.enter_context(complete(path))
            super().savefig(fname, **options)

    def _repr_svg_(self) -> str:
        """Returns the picture for notebooks, with letters as outlines, which need no font."""
        file = StringIO()
        self.savefig(file, settings={"svg.fonttype": "path"}, format="svg", metadata=METADATA[".svg"])
        return file.getvalue().replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)


def _darken(figure: Figure) -> None:
    """Replaces the colours of a figure that was drawn for a light background; a second time changes nothing."""

    def dark(colour: Any) -> Any:
        return to_rgba(DARK_COLOURS.get(to_hex(colour), colour), to_rgba(colour)[3])

    boxes = [text.get_bbox_patch() for text in figure.findobj(Text)]
    for artist in [*figure.findobj(), *boxes]:
        is_many = isinstance(artist, Collection)  # of shapes, each with its colours
        for name in ("facecolor", "edgecolor", "markerfacecolor", "markeredgecolor", *(() if is_many else ("color",))):
            get, put = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
            if get is not None and put is not None:
                put([dark(each) for each in get()] if is_many else dark(get()))


@contextmanager
def style(texts: Iterable[str] = ()) -> Iterator[None]:
    """Set matplotlib's settings for a picture that shows these texts."""
    settings = _theme.get().settings() | {"font.family": font_families(texts)}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_WITHOUT_FONT)  # where text is measured
        yield


def visible(text: str) -> str:
    """The text with control and format characters as escapes (``\\u200b``), cut to MAX_WORD_LENGTH characters."""
    text = text if len(text) <= MAX_WORD_LENGTH else text[: MAX_WORD_LENGTH - 1] + "…"
    return "".join(c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode() for c in text)


def font_families(texts: Iterable[str]) -> list[str]:
    """Installed font families that together have the characters, in the order in which matplotlib tries them.

    The first is DejaVu Sans. Characters that no font has are drawn as boxes, with a warning the first time.
    """
    families, missing = [BASE_FAMILY], set().union(*texts) - _JOINERS - _characters(BASE_FAMILY)
    # Light, bold and slanted faces would look unlike the labels around them.
    regular = [f.name for f in font_manager.fontManager.ttflist if f.style == "normal" and f.weight in (400, "normal")]
    for family in sorted(set(regular), key=lambda name: (not name.startswith("Noto Sans"), name)) if missing else ():
        if not family.startswith(_NOT_FOR_TEXT) and (found := missing & _characters(family)):
            families.append(family)
            missing -= found
    if new := missing - _warned:
        _warned.update(new)
        warn(
            f"no installed font has these characters, which are boxes in .png and .pdf: {' '.join(sorted(new))}. "
            "Install fonts (Debian, Ubuntu: apt install fonts-noto-core fonts-noto-cjk fonts-symbola; elsewhere from "
            f"fonts.google.com/noto), then delete matplotlib's list of fonts in {matplotlib.get_cachedir()}."
        )
    return families


@lru_cache(maxsize=512)
def _characters(family: str) -> frozenset[str]:
    """Characters of the face that matplotlib takes for the family."""
    properties = font_manager.FontProperties(family=[family])
    try:
        face = font_manager.get_font(font_manager.findfont(properties, fallback_to_default=False))
    except (ValueError, OSError, RuntimeError):  # a font removed or broken since matplotlib listed it
        return frozenset()
    return frozenset(map(chr, face.get_charmap()))


def panels(num_rows: int, num_columns: int, width: float, height: float) -> tuple[Picture, list[list[Axes]]]:
    """A figure with a grid of axes of this size in inches each, with room for a title above each.

    Labels around the axes are not counted: a figure is written with everything that is drawn.
    """
    across, down = max(0.2, 0.75 - width), scaled(0.34)
    figure = Picture(figsize=(num_columns * (width + across) - across, num_rows * (height + down) - down))
    figure.subplots_adjust(0, 0, 1, 1, across / width, down / height)
    return figure, figure.subplots(num_rows, num_columns, squeeze=False, subplot_kw={"visible": False}).tolist()


def draw_cells(
    axes: Axes,
    weights: Weights,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    shades: Colormap = SHADES,
    colour: str = INK,
) -> None:
    """The shades of a matrix [rows, columns] of shares, with words above its columns and left of its rows."""
    num_rows, num_columns = np.maximum(weights.shape, 1).tolist()
    axes.set(visible=True, xlim=(0, num_columns), ylim=(num_rows, 0))
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, zorder=2.5)
    text: dict[str, Any] = {"fontsize": font_size(axes), "color": colour}
    if weights.size:
        lines: dict[str, Any] = {"edgecolors": GRID, "linewidth": min(0.7, cell_size(axes) * 2)}
        axes.pcolormesh(
            weights, cmap=themed(shades), vmin=0, vmax=1, rasterized=weights.size > MAX_VECTOR_CELLS, **lines
        )
    axes.xaxis.tick_top()
    # Rotated words start above their cell.
    rotated: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "ha": "left", "va": "baseline"}
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, **rotated, **text)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, **text)


def draw_colour_bar(axes: Axes, label: str, left: float) -> float:
    """Draws the scale of the shades, this number of cells from the left of the axes, and up to 1.4 inches high. Returns
    its height in cells."""
    num_rows, cell = axes.get_ylim()[0], cell_size(axes)
    height = min(1.4, max(num_rows * cell, 0.9)) / cell
    bar = inset(axes, left + 0.16 / cell, 0, scaled(0.09) / cell, height)
    axes.figure.colorbar(ScalarMappable(Normalize(0, 1), themed(SHADES)), cax=bar, ticks=[0, 0.5, 1], format="{x:g}")
    bar.grid(visible=False)
    bar.set_ylabel(label, fontsize=scaled(8), color=FAINT_INK)
    return height


def inset(axes: Axes, left: float, top: float, num_columns: float, num_rows: float) -> Axes:
    """Axes of this size in cells, whose upper left corner is at this place of the matrix."""
    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    return axes.inset_axes((left / width, 1 - (top + num_rows) / height, num_columns / width, num_rows / height))


def cell_size(axes: Axes) -> float:
    """Side of a cell in inches."""
    return float(axes.get_window_extent().width / axes.figure.dpi / axes.get_xlim()[1])


def font_size(axes: Axes) -> float:
    return min(cell_size(axes) * 72 * 0.6, scaled(11))


def suffix_of(path: Path | None) -> str:
    """The picture format by the name of the file: ``.png``, ``.svg`` or ``.pdf``; empty if there is none.

    Raises:
        UserError: the name ends in none of them.
    """
    suffix = "" if path is None else path.suffix.lower()
    if path is not None and suffix not in METADATA:
        raise UserError(f"unknown picture format: {path}", f"End the name in one of {', '.join(METADATA)}.")
    return suffix


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure; see :func:`write_figures`."""
    write_figures([(None, figure)], path)


def write_figures(figures: Iterable[tuple[int | None, Figure]], path: Path) -> list[Path]:
    """Write figures as PNG, SVG or PDF by the suffix: a PDF has a page for each, PNG and SVG a file. Returns the files.

    Args:
        figures: may be a generator; one figure is held at a time. The number of a figure becomes part of the file's
            name: ``links-0001.png`` for ``links.png``; None leaves the name as it is.

    Raises:
        UserError: the suffix is unknown, or a file cannot be written.
    """
    suffix = suffix_of(path)
    options: dict[str, Any] = {"format": suffix[1:], "metadata": METADATA[suffix]}
    written: dict[Path, None] = {}
    with ExitStack() as stack:
        pages: PdfPages | None = None
        # An error while a figure is made is no error of writing.
        for number, figure in figures:
            file = path if number is None or suffix == ".pdf" else path.with_stem(f"{path.stem}-{number:04d}")
            with style(), explained(file):
                if suffix != ".pdf":
                    with binary_file(file) as stream:
                        figure.savefig(stream, **options)
                else:
                    pages = pages or stack.enter_context(_pdf(path, options["metadata"]))
                    pages.savefig(figure)  # type: ignore[no-untyped-call]
            written[file] = None
    return list(written)


@contextmanager
def _pdf(path: Path, metadata: Any) -> Iterator[PdfPages]:
    """A PDF to add pages to, which appears when the block succeeds."""
    with complete(path) as place:
        pages = PdfPages(place, metadata=metadata)
        try:
            yield pages
        finally:
            with explained(path):
                pages.close()  # type: ignore[no-untyped-call]
