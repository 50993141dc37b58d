"""What a filter is: a decision about lines, pairs or a corpus, and the description of what it flags."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self
from unicodedata import category

import numpy as np
import numpy.typing as npt

from nmt.data.filters.statistics import Lines, Mask, Statistics

Severity = Literal["serious", "warning", "note"]
Texts = Mapping[int, tuple[str, str]]

NUM_EXAMPLES = 5
NEVER = 2.0
"""A fraction that no finding reaches."""


@dataclass(frozen=True)
class Example:
    """A line that shows a problem: its number from 1, and its shortened text."""

    line: int
    text: str


@dataclass(frozen=True)
class Finding:
    """A problem of a corpus, found by the filter named ``check``.

    ``serious`` problems spoil training or its scores; a ``warning`` is about quality. ``count`` is the number of lines,
    pairs or pieces, and ``share`` their fraction of all. The examples are the first, or the worst.
    """

    check: str
    severity: Severity
    message: str
    remedy: str
    count: int
    share: float
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Flagged:
    """What a filter flags.

    Attributes:
        indices: of the flagged pairs, the examples first.
        side: the side that has the problem; None if the pair as a whole has it.
        subject: of the message, if it is not a number of lines or pairs.
        count, total: the numbers of the finding, if they are not those of the flagged and of all lines or pairs.
        examples: replace those from ``indices``.
        severity: replaces the one that the thresholds give.
    """

    indices: npt.NDArray[np.int64]
    side: int | None = None
    subject: str = ""
    count: int = 0
    total: int = 0
    examples: tuple[Example, ...] | None = None
    severity: Severity | None = None

    @classmethod
    def worst(cls, mask: Mask, badness: npt.NDArray[np.floating], side: int | None = None) -> Self:
        """Flags the pairs where ``mask`` is True, in descending order of ``badness``."""
        indices = np.flatnonzero(mask)
        return cls(indices[np.argsort(-badness[indices], kind="stable")], side)


@dataclass(frozen=True)
class Filter:
    """One kind of problem, decided by the text of a line or a pair, or by the statistics of the whole corpus.

    Attributes:
        name: of its findings, for programs.
        problem: a regular verb in the plural and its object; the subject is usually "lines" or "pairs".
        remedy: advice to the user.
        warning, serious: fractions of lines or pairs from which a finding has this severity.
        line, pair, corpus: the decision, one of the three.
    """

    name: str
    problem: str
    remedy: str
    warning: float = NEVER
    serious: float = NEVER
    line: Callable[[str], object] | None = None
    pair: Callable[[str, str], object] | None = None
    corpus: Callable[[Statistics], Iterable[Flagged]] | None = None

    def matches(self, start: int, lines: Lines) -> Iterable[tuple[int | None, list[int]]]:
        """Indices of the pairs that are flagged by their text, for each side or for the pair as a whole (None)."""
        if self.line is not None:
            for side, of_side in enumerate(lines):
                yield side, [i for i, line in enumerate(of_side, start) if self.line(line)]
        if self.pair is not None:
            yield None, [i for i, pair in enumerate(zip(*lines, strict=False), start) if self.pair(*pair)]

    def finding(self, flagged: Flagged, statistics: Statistics, texts: Texts) -> Finding:
        """Describe what was flagged; ``texts`` has the pairs of the examples."""
        side = None if flagged.side is None else statistics.sides[flagged.side]
        count = flagged.count or len(flagged.indices)
        share = count / (flagged.total or (statistics.num_pairs if side is None else side.num_lines))
        numbered = plural(count, "pair") if side is None else f"{side.name}: {plural(count, 'line')}"
        verb, rest = self.problem.split(" ", 1)
        per_cent = "under 0.01" if 0 < share < 0.0001 else f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"
        message = f"{flagged.subject or numbered} ({per_cent} %) {verb}{'s' if count == 1 else ''} {rest}."
        severity: Severity = "serious" if share >= self.serious else "warning" if share >= self.warning else "note"
        shown = flagged.examples
        if shown is None:
            shown = examples({i: texts[i] for i in flagged.indices[:NUM_EXAMPLES].tolist()}, flagged.side)
        return Finding(self.name, flagged.severity or severity, message, self.remedy, count, share, shown)


def examples(texts: Texts, side: int | None = None) -> tuple[Example, ...]:
    """Pairs, or one side of them, for display."""
    return tuple(
        Example(index + 1, shorten(text[side]) if side is not None else " | ".join(shorten(line, 60) for line in text))
        for index, text in texts.items()
    )


def shorten(text: str, max_length: int = 100) -> str:
    """Format text in one line, with invisible characters and invalid bytes as escape sequences."""
    text = text[: max_length + 1].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() or category(c) == "Zs" else c.encode("unicode_escape").decode() for c in text)
    return f"{shown[:max_length]}…" if len(shown) > max_length else shown


def plural(count: int, noun: str) -> str:
    """``1 line``, ``2,000 lines``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
