"""Where translations differ: by sentence length, by how rare words are, in n-grams, and word by word.

Words are those that BLEU counts: sacreBLEU's tokens, cased. Matches are clipped, as in BLEU (Papineni et al. 2002): a
word counts as right at most as often as the reference has it in that sentence. The tables follow compare-mt (Neubig
et al. 2019).
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

from nmt.errors import UserError

Tokens = Sequence[str]

MAX_BUCKETS = 8
WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MIN_SENTENCES = 10
"""A bucket of fewer sentences has no reliable score; it is merged with its shorter neighbour."""

FREQUENCIES = (0, 1, 2, 5, 10, 100, 1000)
"""Where each class of words begins, by how often they occur in the training text (or the reference)."""

MAX_ORDER = 4
"""The longest n-grams that are compared."""

# Scripts without spaces differ character by character.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+(?:['’\-]\w+)*|[^\w\s]")


def _range_label(low: int, high: int | None) -> str:
    """``2–4``, ``5`` or, without an end, ``6+``."""
    if high is None:
        return f"{low}+"
    return f"{low}" if low == high else f"{low}–{high}"


# sentences by length


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
        return _range_label(self.low, self.high)


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
        return [bucket for bucket in _bucketed(lengths, limits) if bucket.sentences]
    if not lengths:
        return []
    # The few longest sentences must not decide the width.
    long = sorted(lengths)[min(len(lengths) - 1, int(0.98 * len(lengths)))]
    width = next((w for w in WIDTHS if long <= w * MAX_BUCKETS), -(-long // MAX_BUCKETS))
    merged: list[Bucket] = []
    for bucket in _bucketed(lengths, range(width, max(long, width + 1), width)):
        if merged and min(len(bucket.sentences), len(merged[-1].sentences)) < MIN_SENTENCES:
            last = merged.pop()
            bucket = Bucket(last.low, bucket.high, tuple(sorted(last.sentences + bucket.sentences)))
        merged.append(bucket)
    return merged


def _bucketed(lengths: Sequence[int], limits: Sequence[int]) -> list[Bucket]:
    inside: list[list[int]] = [[] for _ in range(len(limits) + 1)]
    for index, length in enumerate(lengths):
        inside[bisect_left(limits, length)].append(index)
    lows, highs = [0, *(limit + 1 for limit in limits)], [*limits, None]
    return [Bucket(low, high, tuple(found)) for low, high, found in zip(lows, highs, inside, strict=True)]


# words by frequency


@dataclass(frozen=True)
class WordScores:
    """``recall`` is the share of the reference's words that were found: word accuracy. None: nothing to count."""

    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class WordClass:
    """How well words that occur ``low`` to ``high`` times (None: and more) are translated, by system.

    ``num_words``: of the reference in this class.
    """

    low: int
    high: int | None
    num_words: int
    scores: dict[str, WordScores]

    @property
    def label(self) -> str:
        return _range_label(self.low, self.high)


def word_classes(
    systems: Mapping[str, Sequence[Tokens]], references: Sequence[Tokens], frequency: Counter[str]
) -> list[WordClass]:
    """Precision, recall and F1 of words by their frequency; classes without words of the reference are left out."""

    def totals(texts: Iterable[Counter[str]]) -> list[int]:
        sums = [0] * len(FREQUENCIES)
        for counts in texts:
            for word, count in counts.items():
                sums[bisect_right(FREQUENCIES, frequency[word]) - 1] += count
        return sums

    in_reference = [Counter(tokens) for tokens in references]
    expected = totals(in_reference)
    figures = {}
    for name, texts in systems.items():
        counted = [Counter(tokens) for tokens in texts]
        right = totals(mine & theirs for mine, theirs in zip(counted, in_reference, strict=True))
        figures[name] = list(map(_word_scores, right, totals(counted), expected))
    highs = [*(low - 1 for low in FREQUENCIES[1:]), None]
    return [
        WordClass(low, high, expected[number], {name: found[number] for name, found in figures.items()})
        for number, (low, high) in enumerate(zip(FREQUENCIES, highs, strict=True))
        if expected[number]
    ]


def _word_scores(num_right: int, num_given: int, num_expected: int) -> WordScores:
    pairs = (num_right, num_given), (num_right, num_expected), (2 * num_right, num_given + num_expected)
    return WordScores(*(part / whole if whole else None for part, whole in pairs))


# n-grams


@dataclass(frozen=True)
class NgramChange:
    """An n-gram of the reference, and how often each of two systems has it right."""

    words: str
    baseline: int
    system: int
    reference: int


def ngram_changes(
    baseline: Sequence[Tokens], system: Sequence[Tokens], references: Sequence[Tokens], num_shown: int = 10
) -> tuple[list[NgramChange], list[NgramChange]]:
    """The n-grams (n up to 4) that a system gains most and loses most against the baseline.

    Ranked by (s − b) / √(s + b), s and b being how often the two have it right: how far from an even share that is,
    in standard deviations. Of n-grams with the same counts that contain one another only the longest is given.
    """
    right_baseline, right_system, expected = Counter[Tokens](), Counter[Tokens](), Counter[Tokens]()
    for old, new, reference in zip(baseline, system, references, strict=True):
        wanted = _ngrams(reference)
        expected.update(wanted)
        right_baseline.update(_ngrams(old) & wanted)
        right_system.update(_ngrams(new) & wanted)
    gained = _ranked(right_system, right_baseline, num_shown)
    lost = _ranked(right_baseline, right_system, num_shown)

    def change(ngram: Tokens) -> NgramChange:
        return NgramChange(" ".join(ngram), right_baseline[ngram], right_system[ngram], expected[ngram])

    return [change(ngram) for ngram in gained], [change(ngram) for ngram in lost]


def _ngrams(tokens: Tokens) -> Counter[Tokens]:
    return Counter(
        tuple(tokens[start : start + order])
        for order in range(1, MAX_ORDER + 1)
        for start in range(len(tokens) - order + 1)
    )


def _ranked(better: Counter[Tokens], worse: Counter[Tokens], most: int) -> list[Tokens]:
    """N-grams that ``better`` has more often than ``worse``, the clearest first."""
    lead = {
        ngram: (count - worse[ngram]) / math.sqrt(count + worse[ngram])
        for ngram, count in better.items()
        if count > worse[ngram] + 1
    }
    chosen: list[Tokens] = []
    for ngram in sorted(lead, key=lambda ngram: (-lead[ngram], -len(ngram), ngram)):
        counts = better[ngram], worse[ngram]
        if not any(_contains(longer, ngram) and (better[longer], worse[longer]) == counts for longer in chosen):
            chosen.append(ngram)
        if len(chosen) == most:
            break
    return chosen


def _contains(longer: Tokens, ngram: Tokens) -> bool:
    return any(longer[i : i + len(ngram)] == ngram for i in range(len(longer) - len(ngram) + 1))


# word by word


class Span(NamedTuple):
    """A part of a text. ``same`` is False where the other text has something else, or nothing, in its place."""

    text: str
    same: bool


def word_differences(text: str, other: str) -> list[Span]:
    """A text cut where it begins and ends to agree with another one; joined, the spans are the text.

    Words and punctuation marks are compared, cased; white space is not.
    """
    words = list(_WORD.finditer(text))
    matcher = SequenceMatcher(None, [match[0] for match in words], _WORD.findall(other), autojunk=False)
    same = [True] * len(text)
    for kind, start, end, _, _ in matcher.get_opcodes():
        if kind in ("replace", "delete"):
            positions = range(words[start].start(), words[end - 1].end())
            same[positions.start : positions.stop] = [False] * len(positions)
    runs = groupby(zip(text, same, strict=True), key=itemgetter(1))
    return [Span("".join(character for character, _ in run), is_same) for is_same, run in runs]
