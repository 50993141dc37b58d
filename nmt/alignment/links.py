"""Word alignments: from the attention between subword pieces to links between words, and Pharaoh files.

Shapes: S source pieces or words, T target pieces or words. A link is the pair (source word, target
word), both counted from 0, as in the Pharaoh format.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError

Link = tuple[int, int]
Links = AbstractSet[Link]
Weights = npt.NDArray[np.float32]
LinkMethod = Literal["argmax", "threshold"]

_PHARAOH_LINK = re.compile(r"([0-9]{1,9})([-?p])([0-9]{1,9})")


@dataclass(frozen=True)
class WordAlignment:
    """One sentence pair, how much each target word attends to each source word, and the links.

    Raises:
        ValueError: ``weights`` is not [T_words, S_words], or a link is outside the sentence pair.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: Weights
    """[T_words, S_words]: row t says how much target word t attends to each source word; rows sum to <= 1."""
    links: tuple[Link, ...]
    """(source, target), counted from 0, sorted."""
    score: float | None = None
    """Log-probability (natural logarithm) of the target given the source."""
    turns: tuple[int, ...] = ()
    """Of a dialogue, the turn of each source word, counted from the first of the line, 0."""
    turn_weights: Weights | None = None
    """Of a dialogue, [T_words, turns]: how much each target word attends to each turn; rows sum to 1."""
    source_figures: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Named figures of the source words, such as their ponder steps; of a word's pieces the mean."""
    target_figures: Mapping[str, Sequence[float]] = field(default_factory=dict)
    probabilities: Sequence[float] | None = None
    """Of each target word, given the source and the words before."""
    head_weights: Sequence[Weights] | None = None
    """For every attention head of the model what ``weights`` is for the chosen ones; None unless asked for."""

    def __post_init__(self) -> None:
        expected = (len(self.target), len(self.source))
        if self.weights.shape != expected:
            raise ValueError(f"weights of shape {self.weights.shape} for {expected[0]} x {expected[1]} words")
        if self.turn_weights is not None and len(self.turns) != len(self.source):
            raise ValueError(f"turns of {len(self.turns)} words, where there are {len(self.source)}")
        for source, target in self.links:
            if not (0 <= source < len(self.source) and 0 <= target < len(self.target)):
                raise ValueError(f"link {source}-{target} outside {len(self.source)} x {len(self.target)} words")
        for words, figures in ((self.source, self.source_figures), (self.target, self.target_figures)):
            for name, values in figures.items():
                if len(values) != len(words):
                    raise ValueError(f"{len(values)} figures '{name}' for {len(words)} words")


def merge_to_words(
    weights_TS: npt.NDArray[np.floating],
    source_words: Sequence[int],
    target_words: Sequence[int],
    num_source: int,
    num_target: int,
) -> Weights:
    """Turn attention between pieces into attention between words.

    The attention that a target piece pays to a source word is the sum over the pieces of that word; a
    target word attends as its pieces do on average (Clark et al. 2019, "What Does BERT Look At?").
    Weight on pieces of no word (EOS) is dropped, not shared out: a row that sums to little says that the
    model looked elsewhere.

    Args:
        weights_TS: attention of the pieces, [T_pieces, S_pieces].
        source_words: for each source piece the index of its word, or -1 for a piece of no word.
        target_words: likewise for the target.
        num_source: number of source words; words without a piece get a column of zeros.
        num_target: number of target words; words without a piece get a row of zeros.

    Returns:
        [num_target, num_source] float32.

    Raises:
        ValueError: the lengths do not fit ``weights_TS``, or an index is outside the words.
    """
    if weights_TS.shape != (len(target_words), len(source_words)):
        raise ValueError(
            f"weights of shape {weights_TS.shape} for {len(target_words)} target and {len(source_words)} source pieces"
        )
    merged = _means(target_words, num_target) @ weights_TS @ _membership(source_words, num_source)
    return np.asarray(merged, dtype=np.float32)


def mean_of_pieces(values: npt.NDArray[np.floating], words: Sequence[int], num_words: int) -> tuple[float, ...]:
    """The mean over each word's pieces of a figure that every piece has; 0 for a word without a piece."""
    return tuple((_means(words, num_words) @ values.astype(np.float64)).tolist())


def _means(words: Sequence[int], num_words: int) -> npt.NDArray[np.float64]:
    """[words, pieces]: takes the mean over the pieces of each word."""
    membership = _membership(words, num_words)
    means: npt.NDArray[np.float64] = (membership / np.maximum(membership.sum(axis=0, keepdims=True), 1)).T
    return means


def _membership(words: Sequence[int], num_words: int) -> npt.NDArray[np.float64]:
    """[pieces, words]: 1 where the piece belongs to the word; a row of zeros for -1."""
    index = np.asarray(words, dtype=np.int64)
    if np.any((index < -1) | (index >= num_words)):
        raise ValueError(f"word index outside -1..{num_words - 1} in {list(words)}")
    membership = np.zeros((len(index), num_words))
    pieces = np.flatnonzero(index >= 0)
    membership[pieces, index[pieces]] = 1
    return membership


def extract_links(
    weights: npt.NDArray[np.floating], method: LinkMethod = "argmax", threshold: float = 0.3
) -> tuple[Link, ...]:
    """Links of the attention [T_words, S_words], sorted.

    Args:
        weights: as in :class:`WordAlignment`.
        method: ``argmax`` links each target word with the source word it attends to most (the first of
            equals), and a target word that attends to nothing with none; ``threshold`` takes all cells of
            at least ``threshold``, so that a word may have several links or none.
        threshold: above 0, at most 1.

    Raises:
        UserError: the method is unknown or the threshold out of range.
    """
    if method == "threshold":
        if not 0 < threshold <= 1:
            raise UserError(
                f"alignment threshold {threshold} is not above 0 and at most 1",
                "Choose a share of the attention, for example 0.3.",
            )
        targets, sources = np.nonzero(weights >= threshold)
    elif method == "argmax":
        targets = np.flatnonzero(np.any(weights > 0, axis=1))
        sources = weights[targets].argmax(axis=1) if len(targets) else targets
    else:
        raise UserError(f"unknown alignment method '{method}'", "Choose argmax or threshold.")
    return tuple(sorted(zip(sources.tolist(), targets.tolist(), strict=True)))


def parse_pharaoh(line: str, where: str = "the line") -> tuple[set[Link], set[Link]]:
    """Read the links of one sentence pair: ``0-0 1-2 3?4``.

    Links are separated by white space. ``i-j`` is a sure link of source word i and target word j, counted
    from 0; ``i?j`` and ``ipj`` are possible links. An empty line has no links.

    Args:
        where: the place that an error names, such as ``FILE, line N``.

    Returns:
        The sure links, and the possible links that are not sure as well.

    Raises:
        UserError: something on the line is not a link.
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


def format_pharaoh(links: Iterable[Link], possible: Iterable[Link] = ()) -> str:
    """Write links in the Pharaoh format, sorted; those in ``possible`` alone are marked ``i?j``."""
    sure = set(links)
    return " ".join(
        f"{source}{'-' if (source, target) in sure else '?'}{target}" for source, target in sorted(sure | set(possible))
    )


def read_pharaoh(path: Path) -> list[tuple[set[Link], set[Link]]]:
    """Read a Pharaoh file, a line a sentence pair; see :func:`parse_pharaoh` for what a line gives.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or holds something that is not a link.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise UserError(
            f"cannot read the alignment file {path}: {error.strerror}",
            "Check the path; a Pharaoh file with a line for each sentence pair is needed.",
        ) from error
    return [_parse_bytes(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _parse_bytes(line: bytes, where: str) -> tuple[set[Link], set[Link]]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: not UTF-8 text",
            "Give a Pharaoh text file, such as `nmt align --format pharaoh` writes.",
        ) from error
    return parse_pharaoh(text, where)
