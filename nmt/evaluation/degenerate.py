"""Degenerate translations, found without a reference: repetitions, copies of the source, empty ones, extreme lengths.

The limits are deliberately wide: among the references of Multi30k and the translations of its attention models nearly
nothing is reported.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Literal

from nmt.data.dialogue import TAB, current_turn

Kind = Literal["loop", "copy", "empty", "long", "short"]

DESCRIPTIONS: dict[Kind, str] = {
    "loop": "repeat themselves",
    "copy": "copy their source",
    "empty": "are empty",
    "long": "are far too long",
    "short": "are far too short",
}

MAX_SHARE, MIN_SERIOUS = 0.03, 3
"""With a larger share than this, and at least so many, the cause is the model rather than single sentences."""

MIN_COPIED_WORDS = 4
"""Shorter texts, such as names and numbers, can be the same in both languages."""

MAX_LENGTH_RATIO, LENGTH_SLACK = 4.0, 80
"""A length is extreme if it exceeds the expected one times the ratio, plus the slack, in bytes of UTF-8.

Bytes, because a Chinese character (three bytes) carries about as much as three Latin letters.
"""

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_MAX_PERIOD = 12
# Scripts without spaces, and single letters: one to thirty characters five times in a row, in all twenty or more.
_CHARACTER_LOOP = re.compile(r"(.{1,30}?)\1{4,}")
_MIN_CHARACTER_LOOP = 20


def degenerate(text: str, source: str | None = None, reference: str | None = None) -> Kind | None:
    """Whether a translation is degenerate, and how.

    Args:
        text: the translation.
        source: the source sentence; without it copies aren't found.
        reference: gives the expected length. Without it the source does, unless it has several turns (separated by
            tabs), because an answer may have any length.
    """
    expected = reference
    if expected is None and source is not None and TAB not in source:
        expected = source
    if not text.strip():
        given = reference if reference is not None else source
        return "empty" if given is None or given.strip() else None
    if _loops(text) and not any(_loops(given) for given in (source, reference) if given):
        return "loop"
    if source is not None and _is_copy(text, current_turn(source)) and text != reference:
        return "copy"
    if expected is not None and expected.strip():
        length, expected_length = (len(line.encode(errors="replace")) for line in (text, expected))
        if length > MAX_LENGTH_RATIO * expected_length + LENGTH_SLACK:
            return "long"
        if expected_length > MAX_LENGTH_RATIO * length + LENGTH_SLACK:
            return "short"
    return None


def _loops(text: str) -> bool:
    """Whether words are repeated without interruption: one word five times, several words three times."""
    words = _WORD.findall(text.lower())
    for period in range(1, min(_MAX_PERIOD, len(words) // 2) + 1):
        run = 0  # positions in a row that have the word of one period before
        needed = 4 if period == 1 else 2 * period
        for index in range(period, len(words)):
            run = run + 1 if words[index] == words[index - period] else 0
            if run >= needed:
                return True
    loops = (match for match in _CHARACTER_LOOP.finditer(text) if any(c.isalpha() for c in match[1]))
    return any(len(match[0]) >= _MIN_CHARACTER_LOOP for match in loops)


def _is_copy(text: str, source: str) -> bool:
    words = _WORD.findall(text.casefold())
    return len(words) >= MIN_COPIED_WORDS and words == _WORD.findall(source.casefold())


@dataclass
class DegenerateCount:
    """Counts degenerate translations one by one, with their line numbers.

    Attributes:
        num_lines: translations seen.
        lines: line numbers, from 1, by kind.
        num_before: lines of the file before the first translation.
    """

    num_lines: int = 0
    lines: dict[Kind, list[int]] = field(default_factory=dict)
    num_before: int = 0

    def add(self, text: str, source: str | None = None, reference: str | None = None) -> Kind | None:
        """Check the next translation; see :func:`degenerate`."""
        self.num_lines += 1
        kind = degenerate(text, source, reference)
        if kind is not None:
            self.lines.setdefault(kind, []).append(self.num_before + self.num_lines)
        return kind

    @property
    def num_degenerate(self) -> int:
        return sum(map(len, self.lines.values()))

    @property
    def share(self) -> float:
        return self.num_degenerate / max(self.num_lines, 1)

    @property
    def is_serious(self) -> bool:
        """Whether the model rather than single sentences is the likely cause."""
        return self.num_degenerate >= MIN_SERIOUS and self.share > MAX_SHARE

    def summary(self) -> str:
        """A sentence with the number of each kind and its first lines; empty if there are none."""
        if not self.num_degenerate:
            return ""
        kinds = [(kind, self.lines[kind]) for kind in DESCRIPTIONS if kind in self.lines]
        found = ", ".join(f"{len(lines):,} {DESCRIPTIONS[kind]} ({_first(lines)})" for kind, lines in kinds)
        return f"{self.num_degenerate:,} of {self.num_lines:,} translations ({self.share:.1%}) look degenerate: {found}"

    def to_json(self) -> dict[str, list[int]]:
        """Line numbers by kind; every kind is present."""
        return {kind: self.lines.get(kind, []) for kind in DESCRIPTIONS}


def count_degenerate(
    texts: Iterable[str], sources: Iterable[str] | None = None, references: Iterable[str] | None = None
) -> DegenerateCount:
    """Check all translations of a test set."""
    count, unknown = DegenerateCount(), repeat(None)
    for text, source, reference in zip(texts, sources or unknown, references or unknown, strict=False):
        count.add(text, source, reference)
    return count


def _first(lines: Sequence[int], most: int = 3) -> str:
    named = ", ".join(f"{line:,}" for line in lines[:most])
    return f"line{'s' if len(lines) > 1 else ''} {named}{' …' if len(lines) > most else ''}"
