"""Files with pictures of word alignments, PNG, SVG and PDF; :mod:`nmt.alignment.matrix` draws them."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from nmt.alignment.fonts import quiet_fonts
from nmt.alignment.links import WordAlignment
from nmt.alignment.matrix import MAX_WORDS, GoldLinks, draw_matrix
from nmt.errors import UserError

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".svg", ".pdf")


def plot_alignment(
    alignment: WordAlignment,
    path: Path | None = None,
    *,
    gold: GoldLinks | None = None,
    title: str | None = None,
    numbers: bool = False,
    dpi: int = 150,
) -> Figure:
    """Draw one sentence pair.

    Args:
        alignment: what to draw.
        path: where to write it, as PNG, SVG or PDF by the suffix; None to only return the figure.
        gold: sure and possible links to lay over it.
        title: a line above the picture.
        numbers: write the weights into their cells.
        dpi: pixels per inch of a PNG.

    Raises:
        UserError: the suffix is unknown, the file cannot be written, a sentence has more than MAX_WORDS
            words, or a gold link is outside the sentence pair.
    """
    if path is not None:
        _suffix(path)  # before the work of drawing
    figure = draw_matrix(alignment, gold, title, numbers, dpi)
    if path is not None:
        _write(figure, path, dpi)
    return figure


def plot_alignments(
    alignments: Iterable[WordAlignment],
    path: Path,
    *,
    gold: Sequence[GoldLinks] | None = None,
    titles: Sequence[str] | None = None,
    numbers: bool = False,
    dpi: int = 150,
) -> list[Path]:
    """Draw many sentence pairs: a PDF with a page for each, or a PNG or SVG file for each.

    ``links.png`` becomes ``links-0001.png``, ``links-0002.png`` and so on, by the number of the pair; a
    single pair is written to ``links.png`` itself. A pair with more than MAX_WORDS words on a side is
    left out, with a warning. One figure is held at a time.

    Args:
        alignments: what to draw; may be a generator.
        path: as above; PNG, SVG or PDF by the suffix.
        gold: sure and possible links of each pair, in order.
        titles: of each pair, in order; ``Sentence N`` otherwise, and none for a single pair.
        numbers: write the weights into their cells.
        dpi: pixels per inch of a PNG.

    Returns:
        The files written.

    Raises:
        UserError: as :func:`plot_alignment`; or there is no pair to draw, or gold for fewer pairs than
            there are.
    """
    _suffix(path)  # before any work
    pairs = iter(alignments)
    first = list(islice(pairs, 2))
    if not first:
        raise UserError("there are no sentence pairs to draw", "Give a source and a target with lines.")
    drawings = _drawings(chain(first, pairs), len(first) == 1, gold, titles, numbers, dpi)
    written = write_figures(drawings, path, dpi, numbered=len(first) > 1)
    if not written:
        raise UserError(
            f"all sentence pairs have more than {MAX_WORDS} words, too many to draw",
            "Write the links with the format pharaoh or json, or split the sentences.",
        )
    return written


def _drawings(
    pairs: Iterable[WordAlignment],
    single: bool,
    gold: Sequence[GoldLinks] | None,
    titles: Sequence[str] | None,
    numbers: bool,
    dpi: int,
) -> Iterator[tuple[int, Figure]]:
    for number, alignment in enumerate(pairs, start=1):
        if gold is not None and number > len(gold):
            raise UserError(
                f"gold links for {len(gold)} sentence pairs, but there are more pairs",
                "The gold needs a line for each sentence pair; a pair without links is an empty line.",
            )
        num_words = max(len(alignment.source), len(alignment.target))
        if num_words > MAX_WORDS and not single:
            logger.warning("sentence %d has %d words, too many to draw: left out", number, num_words)
            continue
        default = None if single else f"Sentence {number}"
        title = titles[number - 1] if titles is not None else default
        pair_gold = gold[number - 1] if gold is not None else None
        yield number, draw_matrix(alignment, pair_gold, title, numbers, dpi)


def write_figures(
    drawings: Iterable[tuple[int, Figure]], path: Path, dpi: int = 150, *, numbered: bool = False
) -> list[Path]:
    """Write numbered figures: a PDF with a page for each, or a file for each, with its number where asked.

    Raises:
        UserError: the suffix is unknown, or a file cannot be written.
    """
    if _suffix(path) == ".pdf":
        return _write_pages(drawings, path)
    return _write_files(drawings, path, dpi, numbered)


def _write_pages(drawings: Iterable[tuple[int, Figure]], path: Path) -> list[Path]:
    with _writing(path):
        pages = PdfPages(path, metadata={"CreationDate": None})
    written: list[Path] = []
    try:
        # Not one block around the loop: errors of whatever makes the alignments are not errors of writing.
        for _, figure in drawings:
            with _writing(path):
                pages.savefig(figure)  # type: ignore[no-untyped-call]
            written = [path]
    finally:
        with _writing(path):
            pages.close()  # type: ignore[no-untyped-call]
    return written


def _write_files(drawings: Iterable[tuple[int, Figure]], path: Path, dpi: int, numbered: bool) -> list[Path]:
    written = []
    for number, figure in drawings:
        file = path.with_stem(f"{path.stem}-{number:04d}") if numbered else path
        _write(figure, file, dpi)
        written.append(file)
    return written


def _write(figure: Figure, path: Path, dpi: int) -> None:
    # Without the time of writing the same picture gives the same file.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[_suffix(path)]
    with _writing(path):
        figure.savefig(path, dpi=dpi, metadata=metadata)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"cannot tell from its name what picture to write to {path}",
            f"End the name in one of {', '.join(SUFFIXES)}.",
        )
    return suffix


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Settings to write files with, and a UserError where the file cannot be written."""
    settings: Any = {
        "svg.fonttype": "none",  # text stays text: it can be searched, and the viewer picks fonts
        "svg.hashsalt": "nmt",  # the same picture gives the same file
        "pdf.fonttype": 42,
    }
    try:
        with matplotlib.rc_context(settings), quiet_fonts():
            yield
    except OSError as error:
        raise UserError(
            f"cannot write the picture {path}: {error.strerror}", "Check that its folder exists."
        ) from error
