"""Filters of parallel text, and their results. :data:`nmt.extensions.cleaning.table.FILTERS` has all of them."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nmt.extensions.cleaning.statistics import CorpusStatistics, Lines, Mask
from nmt.recipe.options import Options

Severity = Literal["serious", "warning", "note"]
Floats = npt.NDArray[np.floating]
Features = npt.NDArray[np.float32 | np.bool_]

NUM_EXAMPLES = 5
NEVER = 2.0
"""A fraction that no finding reaches."""


@dataclass(frozen=True)
class FlaggedPairs:
    """Pairs that a filter flags.

    Attributes:
        indices: of the flagged pairs, the examples first.
        side: the side that has the problem; None if the pair as a whole has it.
        subject: of the message, if it is not a number of lines or pairs.
        count, total: the numbers of the finding, if they are not those of the flagged and of all lines or pairs.
        examples: pairs that are shown in place of the first flagged ones.
        severity: replaces the one that the thresholds give.
        scores: higher is worse, one for each pair; NaN where it isn't judged. FlaggedPairs are those above ``limit``.
    """

    indices: npt.NDArray[np.int64]
    side: int | None = None
    subject: str = ""
    count: int = 0
    total: int = 0
    examples: Mapping[int, tuple[str, str]] | None = None
    severity: Severity | None = None
    scores: Floats | None = None
    limit: float = 0.0

    @classmethod
    def above(cls, scores: Floats, limit: float, side: int | None = None, judged: Mask | None = None) -> Self:
        """Flags the judged pairs whose score is above the limit, the worst first."""
        scores = (scores if judged is None else np.where(judged, scores, np.nan)).astype(np.float32)
        indices = np.flatnonzero(scores > limit)
        worst_first = indices[np.argsort(-scores[indices], kind="stable")]
        return cls(worst_first, side, scores=scores, limit=limit)


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
        features: the results of ``read`` for all lines; without rows before.
    """

    class Options(Options):
        """Thresholds, by the names of a YAML file of filters."""

    problem: ClassVar[str]
    remedy: ClassVar[str]
    warning: ClassVar[float] = NEVER
    serious: ClassVar[float] = NEVER
    removes: ClassVar[bool] = True
    checks: ClassVar[bool] = True

    features: Features

    def __init__(self, options: Any) -> None:
        self.options = options
        self.features = np.zeros((0, 0), np.float32)

    def prepare(self, statistics: CorpusStatistics) -> None:  # noqa: B027 - a hook
        """Computes the statistics for the second pass."""

    def read(self, start: int, lines: Lines) -> Features | None:
        """Returns features of each line of a batch. [rows, lines]

        Nothing of the batch may be kept elsewhere. ``start`` is the index of the first line.
        """
        return None

    @abstractmethod
    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        """Returns the flagged pairs, for each side or for pairs as a whole."""


class LineFilter(Filter):
    """A filter that decides by the text of a line, such as the occurrence of a pattern."""

    pattern: ClassVar[re.Pattern[str]]

    def matches(self, line: str) -> object:
        """Whether a line is flagged."""
        return self.pattern.search(line)

    def read(self, start: int, lines: Lines) -> Features:
        found = np.zeros((2, max(map(len, lines))), bool)
        for row, side in zip(found, lines, strict=True):
            row[: len(side)] = [bool(self.matches(line)) for line in side]
        return found

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for side, found in enumerate(self.features):
            yield FlaggedPairs(np.flatnonzero(found), side)


class PairFilter(Filter):
    """A filter that decides by the text of a pair."""

    class Options(Filter.Options):
        limit: float = Field(0.0, ge=0, description="flag pairs that are worse")

    @abstractmethod
    def score(self, source: str, target: str) -> float:
        """Returns the score of a pair: 0 for a good one, higher for a worse one."""

    def read(self, start: int, lines: Lines) -> Features:
        return np.array([[self.score(*pair) for pair in zip(*lines, strict=False)]], np.float32)

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for scores in self.features:
            yield FlaggedPairs.above(scores, self.options.limit)


def plural(count: int, noun: str) -> str:
    """``1 line``, ``2,000 lines``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
