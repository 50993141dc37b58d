"""Files of a test set that belong together: translations, references and source, line by line."""

from collections.abc import Sequence
from pathlib import Path

from nmt.data.text import describe, read_lines
from nmt.errors import UserError
from nmt.files import STANDARD_STREAM


def read_aligned(paths: Sequence[Path | str]) -> list[list[str]]:
    """The lines of files in which line N always belongs to line N of the others.

    Args:
        paths: translations first; at most one is ``"-"``, standard input.

    Raises:
        UserError: the numbers of lines differ, there are none, or two are to come from standard input.
    """
    if sum(str(path) == STANDARD_STREAM for path in paths) > 1:
        raise UserError("Only one side can come from standard input.", "Name a file for the other.")
    texts = [list(read_lines(path)) for path in paths]
    check_lengths({describe(path): len(text) for path, text in zip(paths, texts, strict=True)})
    return texts


def check_lengths(num_lines: dict[str, int]) -> None:
    """Refuse texts with different numbers of lines, or without any. ``num_lines``: by the name for messages."""
    (first, expected), *others = num_lines.items()
    for name, count in others:
        if count != expected:
            raise UserError(
                f"Different numbers of lines: {first} has {expected:,}, {name} has {count:,}.",
                "Line N of one must translate line N of the other; check that neither was cut or filtered.",
            )
    if not expected:
        raise UserError(
            f"Nothing to score: {' and '.join(num_lines)} {'is' if len(num_lines) == 1 else 'are'} empty.",
            "Check that the command which wrote the translations succeeded.",
        )


def labels(paths: Sequence[Path | str]) -> list[str]:
    """Short names of systems: file names without the endings and folders that all of them share.

    ``runs/a.test.en`` and ``runs/b.test.en`` become ``a`` and ``b``; ``a/test.en`` and ``b/test.en`` too.

    Raises:
        UserError: a file is named twice.
    """
    given = [describe(path) for path in paths]
    for index, name in enumerate(given):
        if name in given[:index]:
            raise UserError(f"{name} is named twice.", "Name each system once.")
    if len(given) == 1:
        return [Path(given[0]).name]
    parts = [list(Path(name).parts) for name in given]
    while all(len(p) > 1 for p in parts) and len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    while all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
        parts = [p[1:] for p in parts]
    names = ["/".join(p) for p in parts]
    endings = [name.split(".") for name in names]
    while all(len(e) > 1 for e in endings) and len({e[-1] for e in endings}) == 1:
        shorter = [e[:-1] for e in endings]
        if not all(any(e) for e in shorter):
            break
        endings = shorter
    short = [".".join(e) for e in endings]
    return short if len(set(short)) == len(short) else given
