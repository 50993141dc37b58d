"""Sentences by length: the buckets in which a test set is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nmt.errors import UserError

MAX_BUCKETS = 8
WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MIN_SENTENCES = 10
"""A bucket of fewer tells nothing; it is joined to its shorter neighbour."""


@dataclass(frozen=True)
class Bucket:
    """Sentences of ``low`` to ``high`` words (None: and more), by their index."""

    low: int
    high: int | None
    sentences: tuple[int, ...]

    @property
    def label(self) -> str:
        if not self.low:
            return "any" if self.high is None else f"up to {self.high}"
        return range_label(self.low, self.high)


def range_label(low: int, high: int | None) -> str:
    """``2–4``, ``5`` or, without an end, ``6+``."""
    if high is None:
        return f"{low}+"
    return f"{low}" if low == high else f"{low}–{high}"


def num_words(text: str) -> int:
    """Words between white space; the characters of a text that has no spaces (Chinese, Japanese, Thai)."""
    words = len(text.split())
    return len(text.strip()) if words == 1 and len(text.strip()) > 30 else words


def length_buckets(lengths: Sequence[int], limits: Sequence[int] | None = None) -> list[Bucket]:
    """Sort sentences by length.

    Args:
        lengths: of each sentence.
        limits: the longest length of each bucket but the last, which is open. When None, steps of one width are
            chosen that give at most MAX_BUCKETS of them, none with fewer than MIN_SENTENCES sentences.

    Returns:
        Buckets in order of length, empty ones left out.
    """
    if limits is not None:
        if not limits or limits[0] < 1 or any(a >= b for a, b in pairwise(limits)):
            raise UserError(f"Bad limits of length: {', '.join(map(str, limits))}.", "Give rising numbers: 10,20,30.")
        return [bucket for bucket in _sorted(lengths, limits) if bucket.sentences]
    if not lengths:
        return []
    # The few longest sentences must not decide the width.
    long = sorted(lengths)[min(len(lengths) - 1, int(0.98 * len(lengths)))]
    width = next((w for w in WIDTHS if long <= w * MAX_BUCKETS), -(-long // MAX_BUCKETS))
    return _joined(_sorted(lengths, range(width, max(long, width + 1), width)))


def _sorted(lengths: Sequence[int], limits: Sequence[int]) -> list[Bucket]:
    lows = [0, *(limit + 1 for limit in limits)]
    inside: list[list[int]] = [[] for _ in lows]
    for index, length in enumerate(lengths):
        inside[sum(length > limit for limit in limits)].append(index)
    highs = [*limits, None]
    return [Bucket(low, high, tuple(found)) for low, high, found in zip(lows, highs, inside, strict=True)]


def _joined(buckets: list[Bucket]) -> list[Bucket]:
    kept: list[Bucket] = []
    for bucket in buckets:
        if kept and min(len(bucket.sentences), len(kept[-1].sentences)) < MIN_SENTENCES:
            last = kept.pop()
            bucket = Bucket(last.low, bucket.high, tuple(sorted(last.sentences + bucket.sentences)))
        kept.append(bucket)
    return kept
