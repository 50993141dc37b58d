"""What all pictures share: the palette, matplotlib's settings, matrices of cells, and the files.

A figure is drawn inside ``with style(texts)``, where ``texts`` are the words and names it shows, and written by
:func:`write_figure` or :func:`write_figures`.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from nmt.errors import UserError
from nmt.plotting.fonts import font_families

Weights = npt.NDArray[np.floating]

INK = "#1b1b1b"
FAINT_INK = "#767676"
GRID = "#e4e4e4"
FRAME = "#b9c2cc"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of lines; from Okabe & Ito (2008), so that colour-blind readers can tell them apart."""
GOLD = COLOURS[1]
SHADES = LinearSegmentedColormap.from_list(
    "weights", ["#ffffff", "#d6e4f2", "#9dc2e0", "#5797c9", "#2367a4", "#0b3566"]
)
DIAGNOSTIC_SHADES = LinearSegmentedColormap.from_list("diagnostics", ["#ffffff", "#fbe3cf", "#f0b488", "#d98a52"])

SETTINGS: dict[str, Any] = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a `$` in a word is a dollar sign
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.edgecolor": FRAME,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in (("color", FAINT_INK), ("labelsize", 8))},
    **{f"{axis}tick.{which}.size": 0 for axis in "xy" for which in ("major", "minor")},
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.15,
    "svg.fonttype": "none",  # text stays text: it can be searched, and the viewer chooses fonts
    "svg.hashsalt": "nmt",  # the same picture gives the same file
    "pdf.fonttype": 42,
}
# Above this many cells SVG and PDF hold the shading as an image; as shapes, viewers would be slow.
MAX_VECTOR_CELLS = 10_000
SUFFIXES = (".png", ".svg", ".pdf")
# Without the time of writing the same picture gives the same file.
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


@contextmanager
def style(texts: Iterable[str] = ()) -> Iterator[None]:
    """Set matplotlib's settings for a picture that shows these texts."""
    settings: Any = {**SETTINGS, "font.family": font_families(texts)}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # font_families logs one warning with a remedy.
        warnings.filterwarnings("ignore", message="Glyph .* missing|Matplotlib currently does not support")
        yield


# --- matrices of cells -----------------------------------------------------------------------------------


def panels(num_rows: int, num_columns: int, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of axes of this size in inches each, with room for a title above each.

    What stands around the axes needs no room: a figure is written with all that is drawn.
    """
    across, down = max(0.2, 0.75 - width), 0.34
    figure = Figure(figsize=(num_columns * (width + across) - across, num_rows * (height + down) - down))
    figure.subplots_adjust(0, 0, 1, 1, across / width, down / height)
    return figure, figure.subplots(num_rows, num_columns, squeeze=False, subplot_kw={"visible": False}).tolist()


def draw_cells(axes: Axes, weights: Weights, shades: Colormap = SHADES, *, num_panels: int = 1) -> None:
    """The shades of a matrix [rows, columns] of shares, the lines between its cells, and its frame.

    Args:
        num_panels: how many such matrices the picture has.
    """
    num_rows, num_columns = np.maximum(weights.shape, 1).tolist()
    axes.set(visible=True, xlim=(0, num_columns), ylim=(num_rows, 0), xticks=[], yticks=[])
    if weights.size:
        as_image = weights.size * num_panels > MAX_VECTOR_CELLS
        axes.pcolormesh(weights, cmap=shades, norm=Normalize(0, 1), rasterized=as_image)
    columns, rows = np.arange(1, num_columns), np.arange(1, num_rows)
    width = min(0.7, cell_size(axes) * 2)
    axes.vlines(columns, 0, num_rows, colors=np.where(columns % 5, GRID, FRAME).tolist(), linewidth=width)
    axes.hlines(rows, 0, num_columns, colors=np.where(rows % 5, GRID, FRAME).tolist(), linewidth=width)
    axes.spines[:].set(linewidth=0.9, zorder=2.5)


def label_axes(axes: Axes, columns: Sequence[str], rows: Sequence[str], colour: str = INK) -> None:
    """Words above the columns and left of the rows of a matrix; none where a side is empty."""
    text: dict[str, Any] = {"fontsize": font_size(axes), "color": colour}
    axes.xaxis.tick_top()
    axes.tick_params(pad=3)
    # Rotated words start above their cell.
    rotated: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "ha": "left", "va": "baseline"}
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, **rotated, **text)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, **text)


def draw_colour_bar(axes: Axes, label: str, left: float | None = None) -> float:
    """The scale of the shades, right of the axes or so many cells from their left, and up to 1.4 inches high.

    Returns:
        Its height in cells.
    """
    num_columns, num_rows, cell = axes.get_xlim()[1], axes.get_ylim()[0], cell_size(axes)
    height = min(1.4, max(num_rows * cell, 0.9)) / cell
    bar = inset(axes, (num_columns if left is None else left) + 0.16 / cell, 0, 0.09 / cell, height)
    mapped = ScalarMappable(Normalize(0, 1), SHADES)
    axes.figure.colorbar(mapped, cax=bar, ticks=[0, 0.5, 1], format="{x:g}").outline.set(linewidth=0.6)
    bar.set_ylabel(label, fontsize=8, color=FAINT_INK)
    return height


def inset(axes: Axes, left: float, top: float, num_columns: float, num_rows: float) -> Axes:
    """Axes of this size in cells, whose upper left corner is at this place of the matrix."""
    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    return axes.inset_axes((left / width, 1 - (top + num_rows) / height, num_columns / width, num_rows / height))


def cell_size(axes: Axes) -> float:
    """Side of a cell in inches."""
    return float(axes.get_window_extent().width / axes.figure.dpi / axes.get_xlim()[1])


def font_size(axes: Axes) -> float:
    return min(cell_size(axes) * 72 * 0.6, 11.0)


# --- files -----------------------------------------------------------------------------------------------


def suffix_of(path: Path) -> str:
    """The picture format by the name of the file, one of SUFFIXES.

    Raises:
        UserError: the name ends in none of them.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"cannot tell from its name what picture to write to {path}",
            f"End the name in one of {', '.join(SUFFIXES)}.",
        )
    return suffix


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF by the suffix.

    Raises:
        UserError: the suffix is unknown, or the file cannot be written.
    """
    write_figures([(1, figure)], path, numbered=False)


def write_figures(figures: Iterable[tuple[int, Figure]], path: Path, *, numbered: bool) -> list[Path]:
    """Write figures with their numbers: a PDF has a page for each, PNG and SVG a file for each.

    Args:
        figures: may be a generator; one figure is held at a time.
        path: PNG, SVG or PDF by the suffix.
        numbered: whether the names of files have the numbers: ``links.png`` becomes ``links-0001.png``.

    Returns:
        The files written.

    Raises:
        UserError: the suffix is unknown, or a file cannot be written.
    """
    metadata = METADATA[suffix_of(path)]
    pages: PdfPages | None = None
    written: list[Path] = []
    try:
        # Not one block around the loop: an error while a figure is made is no error of writing.
        for number, figure in figures:
            if suffix_of(path) == ".pdf":
                with _writing(path):
                    pages = pages or PdfPages(path, metadata=metadata)
                    pages.savefig(figure)  # type: ignore[no-untyped-call]
                written = [path]
            else:
                file = path.with_stem(f"{path.stem}-{number:04d}") if numbered else path
                with _writing(file):
                    figure.savefig(file, metadata=metadata)
                written.append(file)
    finally:
        if pages is not None:
            with _writing(path):
                pages.close()  # type: ignore[no-untyped-call]
    return written


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        with style():
            yield
    except OSError as error:
        raise UserError(
            f"cannot write the picture {path}: {error.strerror}", "Check that its folder exists."
        ) from error
