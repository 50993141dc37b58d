"""Degenerate translations, found without a reference: repetitions, copies of the source, empty ones, extreme lengths.

The limits are deliberately wide: among the references of Multi30k and the translations of its attention models nearly
nothing is reported.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Literal

from nmt.data.dialogue import TAB, current_turn

Kind = Literal["loop", "copy", "empty", "long", "short"]

DESCRIPTIONS: dict[Kind, tuple[str, str]] = {
    "loop": ("repeats itself", "repeat themselves"),
    "copy": ("copies its source", "copy their source"),
    "empty": ("is empty", "are empty"),
    "long": ("is far too long", "are far too long"),
    "short": ("is far too short", "are far too short"),
}
"""Predicates of one translation and of several."""

MAX_SHARE, MIN_SERIOUS = 0.03, 3
"""Minimum share and number for which the cause is the model rather than single sentences."""

MIN_COPIED_WORDS = 4  # shorter texts, such as names and numbers, can be the same in both languages

MAX_LENGTH_RATIO, LENGTH_SLACK = 4.0, 80
"""A length is extreme if it exceeds the expected one times the ratio, plus the slack, in bytes of UTF-8: a Chinese
character (three bytes) carries about as much as three Latin letters."""

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
# Of words with single spaces between: one word five times in a row, or two to twelve words three times.
_WORD_LOOP = re.compile(r"(?<!\S)(?:(\S+)(?: \1){4}|(\S+(?: \S+){1,11})(?: \2){2})(?!\S)")
# Scripts without spaces, and single letters: 1 to 30 characters five times in a row.
_CHARACTER_LOOP = re.compile(r"(.{1,30}?)\1{4,}")
_MIN_CHARACTER_LOOP = 20  # characters of a whole repetition: a shorter one, such as "Neeeein!", is emphasis


def degenerate(text: str, source: str | None = None, reference: str | None = None) -> Kind | None:
    """Returns the kind of degeneration of a translation, or None.

    Args:
        text: the translation.
        source: the source sentence; without it copies aren't found.
        reference: gives the expected length. Without it the source does, unless it has several turns (separated by
            tabs), because an answer may have any length.
    """
    given = reference if reference is not None else source
    if not text.strip():
        return "empty" if given is None or given.strip() else None
    if loops(text) and not any(loops(given) for given in (source, reference) if given):
        return "loop"
    words = _WORD.findall(text.casefold())
    copied = words == _WORD.findall(current_turn(source or "").casefold())
    if copied and len(words) >= MIN_COPIED_WORDS and text != reference:
        return "copy"
    if given and given.strip() and (reference is not None or TAB not in given):
        length, expected = (len(line.encode(errors="replace")) for line in (text, given))
        if length > MAX_LENGTH_RATIO * expected + LENGTH_SLACK:
            return "long"
        if expected > MAX_LENGTH_RATIO * length + LENGTH_SLACK:
            return "short"
    return None


def loops(text: str) -> bool:
    """Whether a text repeats itself without interruption.

    It does with one word five times in a row or two to twelve words three times, apart from case and punctuation, and
    with 1 to 30 characters five times, which contain a letter and are at least 20 characters in all.
    """
    words = " ".join(_WORD.findall(text.lower()))
    repetitions = (match for match in _CHARACTER_LOOP.finditer(text) if any(c.isalpha() for c in match[1]))
    return bool(_WORD_LOOP.search(words)) or any(len(match[0]) >= _MIN_CHARACTER_LOOP for match in repetitions)


@dataclass
class DegenerateCount:
    """Counts degenerate translations one by one, with their line numbers."""

    num_lines: int = 0  # translations seen
    lines: dict[Kind, list[int]] = field(default_factory=lambda: {kind: [] for kind in DESCRIPTIONS})
    """Line numbers, from 1, of every kind."""
    num_before: int = 0  # lines of the file before the first translation

    def add(self, text: str, source: str | None = None, reference: str | None = None) -> None:
        """Check the next translation; see :func:`degenerate`."""
        self.num_lines += 1
        if kind := degenerate(text, source, reference):
            self.lines[kind].append(self.num_before + self.num_lines)

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
        kinds = []
        for kind, lines in self.lines.items():
            if count := len(lines):
                first = ", ".join(f"{line:,}" for line in lines[:3]) + (" …" if count > 3 else "")
                kinds.append(f"{count:,} {DESCRIPTIONS[kind][count > 1]} (line{'s' * (count > 1)} {first})")
        share = f"{self.num_degenerate:,} of {self.num_lines:,} translations ({self.share:.1%})"
        return f"{share} look degenerate: {', '.join(kinds)}"


def count_degenerate(
    texts: Iterable[str], sources: Iterable[str] | None = None, references: Iterable[str] | None = None
) -> DegenerateCount:
    """Check all translations of a test set."""
    count, unknown = DegenerateCount(), repeat(None)
    for text, source, reference in zip(texts, sources or unknown, references or unknown, strict=False):
        count.add(text, source, reference)
    return count
