"""What is said about a corpus: findings with their weight, where they are, and what to do."""

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["serious", "warning", "note"]

NUM_EXAMPLES = 5


@dataclass(frozen=True)
class Example:
    """A line that shows what is meant. ``line`` counts from 1; ``text`` is shortened."""

    line: int
    text: str


@dataclass(frozen=True)
class Finding:
    """One kind of trouble.

    Attributes:
        check: its name, for programs.
        severity: ``serious`` spoils training or its figures, ``warning`` costs quality, ``note`` is good to know.
        message: what was found, with counts.
        remedy: what to do about it.
        count: of lines or pairs.
        share: of all of them, 0 to 1.
        examples: the first, or the worst.
    """

    check: str
    severity: Severity
    message: str
    remedy: str
    count: int
    share: float
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class SideCounts:
    """One side of a corpus. Words stand between white space."""

    name: str
    num_words: int
    mean_words: float
    median_words: int
    max_words: int
    num_characters: int


@dataclass(frozen=True)
class DataReport:
    """All that was found out about a corpus."""

    num_pairs: int
    sides: tuple[SideCounts, SideCounts]
    median_ratio: float
    """Characters of the target for each of the source, in the middle of all pairs."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return all(finding.severity != "serious" for finding in self.findings)


def graded(share: float, warning: float, serious: float = 2.0) -> Severity:
    """How much a share weighs: from ``warning`` and from ``serious`` on (2: never)."""
    return "serious" if share >= serious else "warning" if share >= warning else "note"


def shorten(text: str, most: int = 100) -> str:
    """A text to be shown in one line: invisible characters and broken bytes as escapes."""
    shown = "".join(map(_visible, text[: most + 1]))
    return f"{shown[:most]}…" if len(shown) > most else shown


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that isn't UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def pair_text(source: str, target: str) -> str:
    """Both sides of a pair, in one line."""
    return f"{shorten(source, 60)} | {shorten(target, 60)}"


def plural(count: int, what: str) -> str:
    """``1 line``, ``2,000 lines``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def per_cent(share: float) -> str:
    """A share for people; what is there at all never becomes 0."""
    return "under 0.01 %" if 0 < share < 0.0001 else f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
