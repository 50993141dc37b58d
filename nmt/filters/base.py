"""Filters of parallel text: what one is, and what it flags. :data:`nmt.filters.FILTERS` has all of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nmt.filters.statistics import Lines, Mask, Statistics
from nmt.recipe.options import Options

Severity = Literal["serious", "warning", "note"]
Floats = npt.NDArray[np.floating]
Figures = npt.NDArray[np.float32 | np.bool_]

NUM_EXAMPLES = 5
NEVER = 2.0
"""A fraction that no finding reaches."""


@dataclass(frozen=True)
class Flagged:
    """Pairs that a filter flags.

    Attributes:
        indices: of the flagged pairs, the examples first.
        side: the side that has the problem; None if the pair as a whole has it.
        subject: of the message, if it is not a number of lines or pairs.
        count, total: the numbers of the finding, if they are not those of the flagged and of all lines or pairs.
        examples: pairs that are shown in place of the first flagged ones.
        severity: replaces the one that the thresholds give.
        badness: of every pair, NaN where it isn't judged; flagged are those above ``limit``.
    """

    indices: npt.NDArray[np.int64]
    side: int | None = None
    subject: str = ""
    count: int = 0
    total: int = 0
    examples: Mapping[int, tuple[str, str]] | None = None
    severity: Severity | None = None
    badness: Floats | None = None
    limit: float = 0.0

    @classmethod
    def above(cls, badness: Floats, limit: float, side: int | None = None, judged: Mask | None = None) -> Self:
        """Flags the judged pairs whose badness is above the limit, the worst first."""
        badness = (badness if judged is None else np.where(judged, badness, np.nan)).astype(np.float32)
        indices = np.flatnonzero(badness > limit)
        worst_first = indices[np.argsort(-badness[indices], kind="stable")]
        return cls(worst_first, side, badness=badness, limit=limit)


class Filter(ABC):
    """One kind of problem of parallel text, found by the text of its lines or by the statistics of the whole.

    An object serves one run: ``prepare`` is called when the corpus has been read once, ``read`` for each batch of the
    second pass, unless an earlier run that was stopped has judged it, and ``flag`` at the end.

    Attributes:
        problem: a regular verb in the plural and its object; the subject is usually "lines" or "pairs".
        remedy: advice to the user of ``nmt check-data``.
        warning, serious: fractions of lines or pairs from which a finding has this severity.
        removes: whether ``nmt clean`` removes flagged pairs by default.
        checks: whether ``nmt check-data`` reports them.
        figures: what ``read`` has returned for all lines; without rows before.
    """

    class Options(Options):
        """Thresholds, by the names of a YAML file of filters."""

    problem: ClassVar[str]
    remedy: ClassVar[str]
    warning: ClassVar[float] = NEVER
    serious: ClassVar[float] = NEVER
    removes: ClassVar[bool] = True
    checks: ClassVar[bool] = True

    figures: Figures

    def __init__(self, options: Any) -> None:
        self.options = options
        self.figures = np.zeros((0, 0), np.float32)

    def prepare(self, statistics: Statistics) -> None:  # noqa: B027 - a hook
        """Learn what the second pass needs."""

    def read(self, start: int, lines: Lines) -> Figures | None:
        """Judge a batch of lines: figures of each. [rows, lines]

        Nothing of the batch may be kept elsewhere. ``start`` is the index of the first line.
        """
        return None

    @abstractmethod
    def flag(self, statistics: Statistics) -> Iterable[Flagged]:
        """Returns the flagged pairs, for each side or for pairs as a whole."""


class LineFilter(Filter):
    """A filter that decides by the text of a line."""

    @abstractmethod
    def matches(self, line: str) -> object:
        """Whether a line is flagged."""

    def read(self, start: int, lines: Lines) -> Figures:
        found = np.zeros((2, max(map(len, lines))), bool)
        for row, side in zip(found, lines, strict=True):
            row[: len(side)] = [bool(self.matches(line)) for line in side]
        return found

    def flag(self, statistics: Statistics) -> Iterable[Flagged]:
        for side, found in enumerate(self.figures):
            yield Flagged(np.flatnonzero(found), side)


class PairFilter(Filter):
    """A filter that decides by the text of a pair."""

    class Options(Filter.Options):
        limit: float = Field(0.0, ge=0, description="flag pairs that are worse")

    @abstractmethod
    def badness(self, source: str, target: str) -> float:
        """Returns the badness of each pair, from 0."""

    def read(self, start: int, lines: Lines) -> Figures:
        return np.array([[self.badness(*pair) for pair in zip(*lines, strict=False)]], np.float32)

    def flag(self, statistics: Statistics) -> Iterable[Flagged]:
        for badness in self.figures:
            yield Flagged.above(badness, self.options.limit)


def plural(count: int, noun: str) -> str:
    """``1 line``, ``2,000 lines``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
