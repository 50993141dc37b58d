"""Files with pictures of word alignments, PNG, SVG and PDF; :mod:`nmt.alignment.matrix` draws them."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from nmt.alignment.links import WordAlignment
from nmt.alignment.matrix import MAX_WORDS, GoldLinks, draw_matrix
from nmt.errors import UserError
from nmt.pictures import suffix_of, write_figure, writing

Draw = Callable[[WordAlignment, GoldLinks | None, str | None, bool, int], Figure]
"""Draws a sentence pair with its gold, title, numbers or not, at so many pixels per inch."""

logger = logging.getLogger(__name__)


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
        suffix_of(path)  # before the work of drawing
    figure = draw_matrix(alignment, gold, title, numbers, dpi)
    if path is not None:
        write_figure(figure, path, dpi)
    return figure


def plot_alignments(
    alignments: Iterable[WordAlignment],
    path: Path,
    *,
    gold: Sequence[GoldLinks] | None = None,
    titles: Sequence[str] | None = None,
    numbers: bool = False,
    dpi: int = 150,
    draw: Draw = draw_matrix,
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
        draw: what is drawn of a pair: its matrix, or with :func:`nmt.alignment.grid.draw_grid` that of each head.

    Returns:
        The files written.

    Raises:
        UserError: as :func:`plot_alignment`; or there is no pair to draw, or gold for fewer pairs than
            there are.
    """
    suffix_of(path)  # before any work
    pairs = iter(alignments)
    first = list(islice(pairs, 2))
    if not first:
        raise UserError("there are no sentence pairs to draw", "Give a source and a target with lines.")
    drawings = _drawings(
        chain(first, pairs),
        len(first) == 1,
        gold,
        titles,
        lambda alignment, pair_gold, title: draw(alignment, pair_gold, title, numbers, dpi),
    )
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
    draw: Callable[[WordAlignment, GoldLinks | None, str | None], Figure],
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
        yield number, draw(alignment, pair_gold, title)


def write_figures(
    drawings: Iterable[tuple[int, Figure]], path: Path, dpi: int = 150, *, numbered: bool = False
) -> list[Path]:
    """Write numbered figures: a PDF with a page for each, or a file for each, with its number where asked.

    Raises:
        UserError: the suffix is unknown, or a file cannot be written.
    """
    if suffix_of(path) == ".pdf":
        return _write_pages(drawings, path)
    return _write_files(drawings, path, dpi, numbered)


def _write_pages(drawings: Iterable[tuple[int, Figure]], path: Path) -> list[Path]:
    with writing(path):
        pages = PdfPages(path, metadata={"CreationDate": None})
    written: list[Path] = []
    try:
        # Not one block around the loop: errors of whatever makes the alignments are not errors of writing.
        for _, figure in drawings:
            with writing(path):
                pages.savefig(figure)  # type: ignore[no-untyped-call]
            written = [path]
    finally:
        with writing(path):
            pages.close()  # type: ignore[no-untyped-call]
    return written


def _write_files(drawings: Iterable[tuple[int, Figure]], path: Path, dpi: int, numbered: bool) -> list[Path]:
    written = []
    for number, figure in drawings:
        file = path.with_stem(f"{path.stem}-{number:04d}") if numbered else path
        write_figure(figure, file, dpi)
        written.append(file)
    return written
