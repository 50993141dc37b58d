"""Files with pictures, PNG, SVG and PDF: the same figure always gives the same file, whose text can be searched."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from nmt.errors import UserError
from nmt.fonts import quiet_fonts

SUFFIXES = (".png", ".svg", ".pdf")


def suffix_of(path: Path) -> str:
    """The kind of picture that a name promises; raises UserError where it is none of SUFFIXES."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"cannot tell from its name what picture to write to {path}",
            f"End the name in one of {', '.join(SUFFIXES)}.",
        )
    return suffix


def write_figure(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a figure as PNG, SVG or PDF by the suffix.

    Raises:
        UserError: the suffix is unknown, or the file can't be written.
    """
    # Without the time of writing the same picture gives the same file.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[suffix_of(path)]
    with writing(path):
        figure.savefig(path, dpi=dpi, metadata=metadata)


@contextmanager
def writing(path: Path) -> Iterator[None]:
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
