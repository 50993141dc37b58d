"""Translations that went wrong so plainly that no reference is needed: loops, copies, empty lines, wild lengths.

The limits are wide on purpose: what they find should be worth reading. Among the references of Multi30k and the
translations of its attention models they find next to nothing.
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

MAX_SHARE = 0.03
"""Above this share of degenerate translations something is wrong with the model rather than with a sentence."""

MIN_SERIOUS = 3

MIN_COPIED_WORDS = 4
"""A name, a number or an interjection is rightly the same in both languages."""

MAX_LENGTH_RATIO, LENGTH_SLACK = 4.0, 80
"""Bytes of a translation for those of what it is measured by, and how many more are never wondered at.

Bytes of UTF-8, because a Chinese character (three) says about as much as three Latin letters do.
"""

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_MAX_PERIOD = 12
# Scripts without spaces, and single letters: five times the same one to thirty characters, in all twenty or more.
_CHARACTER_LOOP = re.compile(r"(.{1,30}?)\1{4,}")
_MIN_CHARACTER_LOOP = 20


def degenerate(text: str, source: str | None = None, reference: str | None = None) -> Kind | None:
    """What is plainly wrong with a translation; None where nothing is.

    Args:
        text: the translation.
        source: what was translated; without it copies aren't found.
        reference: how long it should be; the source serves where there is none, unless it has several turns (tabs
            between), because an answer may be of any length.
    """
    measure = reference
    if measure is None and source is not None and TAB not in source:
        measure = source
    if not text.strip():
        given = reference if reference is not None else source
        return "empty" if given is None or given.strip() else None
    if _loops(text) and not any(_loops(given) for given in (source, reference) if given):
        return "loop"
    if source is not None and _is_copy(text, current_turn(source)) and text != reference:
        return "copy"
    if measure is not None and measure.strip():
        length, expected = len(text.encode(errors="replace")), len(measure.encode(errors="replace"))
        if length > MAX_LENGTH_RATIO * expected + LENGTH_SLACK:
            return "long"
        if expected > MAX_LENGTH_RATIO * length + LENGTH_SLACK:
            return "short"
    return None


def _loops(text: str) -> bool:
    """Whether words follow one another again and again: one word five times, more words three times."""
    words = _WORD.findall(text.lower())
    for period in range(1, min(_MAX_PERIOD, len(words) // 2) + 1):
        run = 0  # positions in a row whose word stands one period before, too
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
    """Counts degenerate translations as they come, and remembers where they are.

    Attributes:
        num_lines: how many translations were seen.
        lines: line numbers, from 1, by what is wrong.
        num_before: lines of the file before the first that is looked at.
    """

    num_lines: int = 0
    lines: dict[Kind, list[int]] = field(default_factory=dict)
    num_before: int = 0

    def add(self, text: str, source: str | None = None, reference: str | None = None) -> Kind | None:
        """Look at the next translation; see :func:`degenerate`."""
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
        """Whether there are more than single sentences that went wrong."""
        return self.num_degenerate >= MIN_SERIOUS and self.share > MAX_SHARE

    def summary(self) -> str:
        """A sentence for people, or nothing: how many, what is wrong, and the first lines of each kind."""
        if not self.num_degenerate:
            return ""
        kinds = [(kind, self.lines[kind]) for kind in DESCRIPTIONS if kind in self.lines]
        found = ", ".join(f"{len(lines):,} {DESCRIPTIONS[kind]} ({_first(lines)})" for kind, lines in kinds)
        return f"{self.num_degenerate:,} of {self.num_lines:,} translations ({self.share:.1%}) look degenerate: {found}"

    def to_json(self) -> dict[str, list[int]]:
        """Line numbers by what is wrong; every kind is there."""
        return {kind: self.lines.get(kind, []) for kind in DESCRIPTIONS}


def count_degenerate(
    texts: Iterable[str], sources: Iterable[str] | None = None, references: Iterable[str] | None = None
) -> DegenerateCount:
    """Look at all translations of a test set."""
    count, unknown = DegenerateCount(), repeat(None)
    for text, source, reference in zip(texts, sources or unknown, references or unknown, strict=False):
        count.add(text, source, reference)
    return count


def _first(lines: Sequence[int], most: int = 3) -> str:
    named = ", ".join(f"{line:,}" for line in lines[:most])
    return f"line{'s' if len(lines) > 1 else ''} {named}{' …' if len(lines) > most else ''}"
