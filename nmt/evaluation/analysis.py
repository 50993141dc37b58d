"""Where translations differ: by sentence length, by how rare words are, in n-grams, and word by word.

Words are those that BLEU counts: sacreBLEU's tokens, cased. Matches are clipped, as in BLEU (Papineni et al. 2002): a
word counts as right at most as often as the reference has it in that sentence. The tables follow compare-mt (Neubig
et al. 2019).

Results are rows of ``nmt compare --json``.
"""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

Tokens = Sequence[str]

FREQUENCIES = (0, 1, 4, 9, 99, 999)
"""How often the most frequent words of each class but the last occur in the training text (or the reference)."""

MAX_ORDER, NUM_NGRAMS = 4, 10
"""The longest n-grams that are compared, and how many are listed."""

# Scripts without spaces differ character by character.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+(?:['’\-]\w+)*|[^\w\s]")


def ranges(limits: Sequence[int]) -> list[dict[str, Any]]:
    """From 0 to the first limit, from there to the second, and so on; the last range has no limit (``high`` None).

    A ``label`` is ``2–4``, ``5`` or ``6+``.
    """
    lows, highs = [0, *(limit + 1 for limit in limits)], [*limits, None]
    return [
        {"low": low, "high": high, "label": f"{low}+" if high is None else f"{low}" if low == high else f"{low}–{high}"}
        for low, high in zip(lows, highs, strict=True)
    ]


def num_words(text: str) -> int:
    """Words between white space; the characters of a text that has no spaces (Chinese, Japanese, Thai)."""
    words = len(text.split())
    return len(text.strip()) if words == 1 and len(text.strip()) > 30 else words


def word_classes(
    systems: Mapping[str, Sequence[Tokens]], references: Sequence[Tokens], frequency: Counter[str]
) -> list[dict[str, Any]]:
    """Precision, recall and F1 of words by their frequency; classes without words of the reference are left out.

    ``recall`` is the share of the reference's words that were found: word accuracy. None: there is nothing to count.
    """

    def totals(texts: Iterable[Counter[str]]) -> list[int]:
        sums = [0] * (len(FREQUENCIES) + 1)
        for counts in texts:
            for word, count in counts.items():
                sums[bisect_left(FREQUENCIES, frequency[word])] += count
        return sums

    in_reference = [Counter(tokens) for tokens in references]
    expected = totals(in_reference)
    classes = [bucket | {"num_words": n, "scores": {}} for bucket, n in zip(ranges(FREQUENCIES), expected, strict=True)]
    for name, texts in systems.items():
        counted = [Counter(tokens) for tokens in texts]
        right = totals(mine & theirs for mine, theirs in zip(counted, in_reference, strict=True))
        for group, matched, given, wanted in zip(classes, right, totals(counted), expected, strict=True):
            ratios = {"precision": (matched, given), "recall": (matched, wanted), "f1": (2 * matched, given + wanted)}
            group["scores"][name] = {key: part / whole if whole else None for key, (part, whole) in ratios.items()}
    return [group for group in classes if group["num_words"]]


def ngram_changes(
    baseline: Sequence[Tokens], system: Sequence[Tokens], references: Sequence[Tokens]
) -> dict[str, list[dict[str, Any]]]:
    """The n-grams (n up to 4) that a system has ``gained`` most and ``lost`` most against the baseline.

    Ranked by (s − b) / √(s + b), s and b being how often the two have it right: how far from an even share that is,
    in standard deviations.
    """
    right_baseline, right_system, expected = Counter[Tokens](), Counter[Tokens](), Counter[Tokens]()
    for old, new, reference in zip(baseline, system, references, strict=True):
        wanted = _ngrams(reference)
        expected.update(wanted)
        right_baseline.update(_ngrams(old) & wanted)
        right_system.update(_ngrams(new) & wanted)

    def ranked(better: Counter[Tokens], worse: Counter[Tokens]) -> list[dict[str, Any]]:
        lead = {n: (count - worse[n]) / math.sqrt(count + worse[n]) for n, count in better.items() if count > worse[n]}
        first = sorted(lead, key=lambda ngram: (-lead[ngram], -len(ngram), ngram))[:NUM_NGRAMS]
        counts = {"baseline": right_baseline, "system": right_system, "reference": expected}
        return [{"words": " ".join(n), **{key: count[n] for key, count in counts.items()}} for n in first]

    return {"gained": ranked(right_system, right_baseline), "lost": ranked(right_baseline, right_system)}


def _ngrams(tokens: Tokens) -> Counter[Tokens]:
    orders = range(1, MAX_ORDER + 1)
    return Counter(tuple(tokens[i : i + order]) for order in orders for i in range(len(tokens) - order + 1))


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
    spans, end = [], 0
    for kind, first, last, _, _ in matcher.get_opcodes():
        if kind in ("replace", "delete"):
            start, stop = words[first].start(), words[last - 1].end()
            spans += [Span(text[end:start], True), Span(text[start:stop], False)]
            end = stop
    return [span for span in (*spans, Span(text[end:], True)) if span.text]
