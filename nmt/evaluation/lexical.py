"""Which words and n-grams a system gets right: by how rare they are, and against another system.

Words are those that BLEU counts: sacreBLEU's tokens, cased. Matches are clipped, as in BLEU (Papineni et al.
2002): a word counts as right at most as often as the reference has it in that sentence. The tables follow
compare-mt (Neubig et al. 2019).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nmt.evaluation.buckets import range_label

Tokens = Sequence[str]

FREQUENCIES = ((0, 0), (1, 1), (2, 4), (5, 9), (10, 99), (100, 999), (1000, None))
"""Classes of words by how often they stand in the training text (or the reference): from, to."""

MAX_ORDER = 4


@dataclass(frozen=True)
class WordClass:
    """How well words of a frequency are translated.

    Attributes:
        low, high: how often its words occur; None is any number from ``low``.
        num_words: of the reference in this class.
        scores: precision, recall and F1 by system, 0 to 1; None where nothing can be counted.
    """

    low: int
    high: int | None
    num_words: int
    scores: dict[str, "WordScores"]

    @property
    def label(self) -> str:
        return range_label(self.low, self.high)


@dataclass(frozen=True)
class WordScores:
    """``recall`` is the share of the reference's words that were found: word accuracy."""

    precision: float | None
    recall: float | None
    f1: float | None


def frequencies(texts: Iterable[Tokens]) -> Counter[str]:
    """How often each word occurs."""
    counts: Counter[str] = Counter()
    for tokens in texts:
        counts.update(tokens)
    return counts


def word_classes(
    systems: Mapping[str, Sequence[Tokens]], references: Sequence[Tokens], frequency: Counter[str]
) -> list[WordClass]:
    """Precision, recall and F1 of words by their frequency; classes without words of the reference are left out."""
    class_of = {
        count: number
        for number, (low, high) in enumerate(FREQUENCIES)
        for count in (range(low, high + 1) if high is not None else ())
    }
    last = len(FREQUENCIES) - 1

    def totals(texts: Iterable[Counter[str]]) -> list[int]:
        sums = [0] * len(FREQUENCIES)
        for counts in texts:
            for word, count in counts.items():
                sums[class_of.get(frequency[word], last)] += count
        return sums

    in_reference = [Counter(tokens) for tokens in references]
    expected = totals(in_reference)
    figures = {}
    for name, texts in systems.items():
        counted = [Counter(tokens) for tokens in texts]
        right = totals(mine & theirs for mine, theirs in zip(counted, in_reference, strict=True))
        figures[name] = list(zip(right, totals(counted), expected, strict=True))
    return [
        WordClass(low, high, expected[number], {name: _scores(*figures[name][number]) for name in systems})
        for number, (low, high) in enumerate(FREQUENCIES)
        if expected[number]
    ]


def _scores(num_right: int, num_given: int, num_expected: int) -> WordScores:
    precision = num_right / num_given if num_given else None
    recall = num_right / num_expected if num_expected else None
    f1 = 2 * num_right / (num_given + num_expected) if num_given + num_expected else None
    return WordScores(precision, recall, f1)


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
    in standard deviations. Of n-grams with the same counts that hold one another only the longest is given.
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
    ahead = sorted(lead, key=lambda ngram: (-lead[ngram], -len(ngram), ngram))
    chosen: list[Tokens] = []
    for ngram in ahead:
        counts = better[ngram], worse[ngram]
        held = any(_holds(longer, ngram) and (better[longer], worse[longer]) == counts for longer in chosen)
        if not held:
            chosen.append(ngram)
        if len(chosen) == most:
            break
    return chosen


def _holds(longer: Tokens, ngram: Tokens) -> bool:
    return any(longer[i : i + len(ngram)] == ngram for i in range(len(longer) - len(ngram) + 1))
