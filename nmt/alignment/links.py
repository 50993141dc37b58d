"""Word alignments, and their text formats: Pharaoh lines and JSON lines.

A link is the pair (source word, target word), both counted from 0, as in the Pharaoh format. T and S in the names of
arrays are the target and the source words.

docs/reference/formats.md describes the JSON object of a sentence pair.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import numpy.typing as npt

from nmt.core.errors import UserError
from nmt.core.text import read_lines

LINKS = "links"  # name of the word links among the annotations of a corpus: rows of a source and a target piece

Link = tuple[int, int]
Links = AbstractSet[Link]
GoldLinks = tuple[Links, Links]  # sure and possible links of a sentence pair

_PHARAOH_LINK = re.compile(r"([0-9]{1,9})([-?p])([0-9]{1,9})")

Weights = npt.NDArray[np.float32]

# Unescaped, these would end a line for readers that split at every Unicode line break, or (lone
# surrogates) could not be written as UTF-8.
_UNSAFE_IN_A_LINE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class WordAlignment:
    """A sentence pair, the attention weights between its words, and the links."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: Weights
    """[T, S]: row t has the attention of target word t to each source word; rows sum to at most 1."""
    links: tuple[Link, ...]
    """(source, target), counted from 0, sorted."""
    score: float | None = None
    """Log-probability (natural logarithm) of the target given the source; None if it was cut or not requested."""
    turns: tuple[int, ...] = ()
    """The turn of each source word in a dialogue, counted from 0."""
    turn_weights: Weights | None = None
    """[T, turns]: in a dialogue, the attention of each target word to each turn; rows sum to 1."""
    source_diagnostics: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Numbers to be shown for each source word, by name, such as its ponder steps; of a word's pieces the mean."""
    target_diagnostics: Mapping[str, Sequence[float]] = field(default_factory=dict)
    probabilities: Sequence[float] | None = None
    """The probability of each target word, given the source and the words before; None where :attr:`score` is."""
    margins: Sequence[float] | None = None
    """For each target word and the end of the sentence, the log-probability of the least likely token compared with
    that of the likeliest token in its place, at most 0; None if not requested."""
    head_weights: Sequence[Weights] | None = None
    """Matrices like ``weights`` for every attention head of the model; None unless requested."""

    def check_gold(self, links: Links) -> None:
        """Raises UserError if a gold link is outside the pair."""
        num_source, num_target = len(self.source), len(self.target)
        for source, target in sorted(links):
            if source >= num_source or target >= num_target:
                raise UserError(
                    f"gold link {source}-{target} is outside the pair of {num_source} source and {num_target} target "
                    f"words that begins '{' '.join(self.source[:4])}'",
                    "Tokenize the sentences as the gold is (`nmt align --tokenized`), with the gold source word first.",
                )


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


def to_json(alignment: WordAlignment) -> dict[str, Any]:
    """The alignment as plain lists and numbers."""
    score = alignment.score
    values: dict[str, Any] = {
        "source": list(alignment.source),
        "target": list(alignment.target),
        "links": [[source, target] for source, target in alignment.links],
        "weights": _rounded(alignment.weights),
        "score": score if score is not None and math.isfinite(score) else None,
    }
    if alignment.turn_weights is not None:
        values |= {"turns": list(alignment.turns), "turn_weights": _rounded(alignment.turn_weights)}
    for side, named in (("source", alignment.source_diagnostics), ("target", alignment.target_diagnostics)):
        for name, numbers in named.items():
            values.setdefault(name, {})[side] = [round(number, 4) for number in numbers]
    return values


def _rounded(weights: Weights) -> list[list[float]]:
    return [[round(weight, 4) for weight in row] for row in weights.tolist()]


def write_alignments(alignments: Iterable[WordAlignment], format: Literal["pharaoh", "json"], stream: TextIO) -> None:
    """Write one line for each sentence pair, so that line numbers stay those of the input.

    Args:
        format: ``pharaoh`` for the links alone, ``json`` for :func:`to_json`.
    """
    for alignment in alignments:
        line = format_pharaoh(alignment.links) if format == "pharaoh" else json_line(to_json(alignment))
        stream.write(f"{line}\n")


def json_line(value: dict[str, Any]) -> str:
    """JSON that stays one line for every reader, without a line end.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNSAFE_IN_A_LINE.sub(lambda match: f"\\u{ord(match.group()):04x}", line)
