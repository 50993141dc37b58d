"""Links between words, and their Pharaoh format."""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from nmt.core.errors import UserError
from nmt.core.text import read_lines

LINKS = "links"  # name of the word links among the annotations of a corpus: rows of a source and a target piece

Link = tuple[int, int]
Links = AbstractSet[Link]
GoldLinks = tuple[Links, Links]  # sure and possible links of a sentence pair

_PHARAOH_LINK = re.compile(r"([0-9]{1,9})([-?p])([0-9]{1,9})")


def parse_pharaoh(line: str, where: str = "the line") -> tuple[set[Link], set[Link]]:
    """Reads the links of one sentence pair: ``0-0 1-2 3?4``.

    Links are separated by white space. ``i-j`` is a sure link of source word i and target word j, counted
    from 0; ``i?j`` and ``ipj`` are possible links. Returns the sure links, and the possible ones that are not sure as
    well. Raises UserError if something is not a link; it names ``where``, such as ``FILE, line N``.
    """
    sure: set[Link] = set()
    possible: set[Link] = set()
    for token in line.split():
        match = _PHARAOH_LINK.fullmatch(token)
        if match is None:
            shown = token if len(token) <= 40 else f"{token[:40]}…"
            raise UserError(
                f"{where}: '{shown}' is not a link",
                "Write links as i-j (sure) or i?j (possible), source word first, counted from 0, "
                "with spaces between: 0-0 1-2 3?4.",
            )
        source, mark, target = match.groups()
        (sure if mark == "-" else possible).add((int(source), int(target)))
    return sure, possible - sure


def format_pharaoh(links: Iterable[Link]) -> str:
    """Returns links in the Pharaoh format, sorted."""
    return " ".join(f"{source}-{target}" for source, target in sorted(links))


def read_pharaoh(path: Path) -> list[tuple[set[Link], set[Link]]]:
    """Reads a Pharaoh file with a line for each sentence pair; see :func:`parse_pharaoh`. Raises UserError if the file
    cannot be read, is not UTF-8, or holds something that is not a link."""
    return [parse_pharaoh(line, f"{path}, line {number}") for number, line in enumerate(read_lines(path), start=1)]
