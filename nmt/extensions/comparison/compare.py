"""Systems side by side on one test set: scores with tests, lengths, rare words, n-grams, and changed sentences.

Everything is measured on the same detokenised, cased text. Scores, tests and lengths use all references; words and
n-grams use the first one. Words are those that BLEU counts: sacreBLEU's tokens, cased. Matches are clipped, as in BLEU
(Papineni et al. 2002): a word counts as right at most as often as the reference has it in that sentence. The tables of
words and n-grams follow compare-mt (Neubig et al. 2019).
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from nmt.core.errors import UserError
from nmt.core.text import WORD, describe, read_lines
from nmt.data.dialogue import current_turn
from nmt.evaluation.scores import TestSet
from nmt.extensions.comparison.significance import NUM_TRIALS, MetricTest, SufficientStatistics, paired_test
from nmt.metrics.degenerate import DegenerateCount, count_degenerate
from nmt.metrics.table import METRICS, Bleu, Metric, check_metrics
from nmt.plotting.templates import rounded

Tokens = Sequence[str]
Rows = list[dict[str, Any]]
"""Rows of a table in ``nmt compare --json``, by column."""

LENGTHS = (5, 10, 15, 20, 30, 40, 60)
"""The longest sentences of each bucket but the last, in words."""

FREQUENCIES = (0, 1, 4, 9, 99, 999)
"""Maximum frequencies of the words of each class but the last in the training text (or the reference)."""

MAX_ORDER, NUM_NGRAMS = 4, 10
"""The longest n-grams that are compared, and how many are listed."""


def compare(
    test_set: TestSet,
    train: Path | str | None = None,
    metrics: Sequence[str] = ("bleu", "chrf", "ter"),
    num_samples: int = NUM_TRIALS,
    sentence_metric: str = "chrf",
    num_sentences: int = 10,
    tokenize: str | None = None,
    limits: Sequence[int] = LENGTHS,
) -> dict[str, Any]:
    """Compare all systems with the first.

    Args:
        test_set: of two systems or more.
        train: text in the target language in which words are counted; the first reference when None.
        num_samples: trials of the paired test.
        sentence_metric: ranks the sentences that got better and worse.
        num_sentences: shown of each.
        limits: of the length buckets.

    Returns:
        The object of ``nmt compare --json``.
    """
    reference, (baseline, *others) = test_set.references[0], test_set.systems
    if not others:
        raise UserError("A comparison needs two systems or more.", "Name the translations of each: A.en B.en.")
    for names in (metrics, [sentence_metric]):
        check_metrics(names, test_set.source is not None)
    tokens_of = Bleu(tokenize).tokens
    tokens_of_reference = list(map(tokens_of, reference))
    counted = tokens_of_reference if train is None else map(tokens_of, read_lines(train))
    frequency = Counter(chain.from_iterable(counted))  # before the work, because the file may be missing
    statistics = [SufficientStatistics(key, test_set, tokenize) for key in metrics]
    tests = {s.key: paired_test(s, num_samples) for s in statistics}
    texts_of = test_set.systems
    degenerate = {name: count_degenerate(texts, test_set.source, reference) for name, texts in texts_of.items()}
    systems, warnings = {}, []
    for name in texts_of:
        scores = {}
        for key, test in tests.items():
            difference = asdict(test.differences[name]) if name != baseline else None
            scores[key] = test.scores[name].to_json() | {"difference": difference}
        systems[name] = {"scores": scores, "degenerate": degenerate[name].lines}
        if summary := degenerate[name].summary():
            warnings.append(f"{name}: {summary}.")
    metric = METRICS[sentence_metric](tokenize)
    sentence_scores = {
        name: metric.sentence_scores(texts, test_set.references, test_set.source) for name, texts in texts_of.items()
    }
    tokens = {name: list(map(tokens_of, texts)) for name, texts in texts_of.items()}
    found = {
        "baseline": baseline,
        "sentences": len(reference),
        "references": len(test_set.references),
        "measured_by": test_set.measured_by,
        "test": "randomisation",
        "signatures": {key: test.scores[baseline].signature for key, test in tests.items()},
        "systems": systems,
        "warnings": warnings,
        "verdicts": {name: [_verdict(test, name, degenerate) for test in tests.values()] for name in others},
        "lengths": length_scores(test_set, statistics, limits),
        "words": {
            "counted_in": Path(describe(train)).name if train is not None else "the reference",
            "classes": word_classes(tokens, tokens_of_reference, frequency),
        },
        "changes": {
            name: _sentence_changes(test_set, name, metric, sentence_scores, num_sentences)
            | ngram_changes(tokens[baseline], tokens[name], tokens_of_reference)
            for name in others
        },
    }
    result: dict[str, Any] = rounded(found, 6)
    return result


def _verdict(test: MetricTest, system: str, degenerate: Mapping[str, DegenerateCount]) -> str:
    """Returns the verdict about a system, with a remark if the better one has more degenerate translations."""
    verdict, ahead = test.verdict(system), test.ahead(system)
    others = (degenerate[name].num_degenerate for name in (system, next(iter(test.scores))))
    is_worse = ahead is not None and degenerate[ahead].num_degenerate > min(others)
    if ahead is None or not (is_worse and test.differences[system].significant and degenerate[ahead].is_serious):
        return verdict
    counts = f"{degenerate[ahead].num_degenerate:,} of the {degenerate[ahead].num_lines:,} translations of {ahead}"
    return f"{verdict} However, {counts} look degenerate: a better score doesn't show that they are better."


def ranges(limits: Sequence[int], low: int = 0) -> Rows:
    """From ``low`` to the first limit, from there to the second, and so on; the last range has no end (``high`` None).

    A ``label`` is ``2–4``, ``5`` or ``6+``.
    """
    lows, highs = [low, *(limit + 1 for limit in limits)], [*limits, None]
    return [
        {"low": low, "high": high, "label": f"{low}+" if high is None else f"{low}" if low == high else f"{low}–{high}"}
        for low, high in zip(lows, highs, strict=True)
    ]


def length_scores(
    test_set: TestSet, statistics: Sequence[SufficientStatistics], limits: Sequence[int] = LENGTHS
) -> Rows:
    """Corpus scores by words of the source (of a dialogue's current turn) or, without one, of the first reference.

    ``limits`` are the longest lengths of all buckets but the last; empty buckets are left out. A row has ``scores`` by
    metric, then by system.
    """
    lengths = [len(WORD.findall(current_turn(line))) for line in test_set.source or test_set.references[0]]
    places, rows = [bisect_left(limits, length) for length in lengths], []
    for number, bucket in enumerate(ranges(limits, min([1, *lengths]))):  # from 0 only where a line has no words
        if indices := [index for index, place in enumerate(places) if place == number]:
            scores = {s.key: {name: round(s.score(name, indices), 4) for name in test_set.systems} for s in statistics}
            rows.append(bucket | {"sentences": len(indices), "scores": scores})
    return rows


def scores_by_length(
    metric: str, test_set: TestSet, limits: Sequence[int] = LENGTHS, tokenize: str | None = None
) -> dict[str, Any]:
    """Returns the ``rows`` of :func:`length_scores`, the scores of the ``whole`` text, and the ``signature``.

    Raises:
        UserError: there is no such metric, or it needs the source.
    """
    check_metrics([metric], test_set.source is not None)
    statistics = SufficientStatistics(metric, test_set, tokenize)
    return {
        "whole": {name: statistics.score(name) for name in test_set.systems},
        "signature": statistics.metric.signature,
        "rows": length_scores(test_set, [statistics], limits),
    }


def word_classes(
    systems: Mapping[str, Sequence[Tokens]], references: Sequence[Tokens], frequency: Counter[str]
) -> Rows:
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
) -> dict[str, Rows]:
    """The n-grams (n up to 4) that a system has ``gained`` most and ``lost`` most against the baseline.

    Ranked by (s − b) / √(s + b), s and b being how often the two have it right: how far from an even share that is,
    in standard deviations.
    """

    def ngrams(tokens: Tokens) -> Counter[Tokens]:
        orders = range(1, MAX_ORDER + 1)
        return Counter(tuple(tokens[i : i + order]) for order in orders for i in range(len(tokens) - order + 1))

    counts = {key: Counter[Tokens]() for key in ("baseline", "system", "reference")}
    for old, new, reference in zip(baseline, system, references, strict=True):
        wanted = ngrams(reference)
        for key, found in (("baseline", ngrams(old)), ("system", ngrams(new)), ("reference", wanted)):
            counts[key].update(found & wanted)

    def ranked(better: Counter[Tokens], worse: Counter[Tokens]) -> Rows:
        lead = {n: (count - worse[n]) / math.sqrt(count + worse[n]) for n, count in better.items() if count > worse[n]}
        first = sorted(lead, key=lambda ngram: (-lead[ngram], -len(ngram), ngram))[:NUM_NGRAMS]
        return [{"words": " ".join(n), **{key: count[n] for key, count in counts.items()}} for n in first]

    old_right, new_right = counts["baseline"], counts["system"]
    return {"gained": ranked(new_right, old_right), "lost": ranked(old_right, new_right)}


def _sentence_changes(
    test_set: TestSet, name: str, metric: Metric, scores: Mapping[str, Sequence[float]], num_sentences: int
) -> dict[str, Any]:
    """Counts the sentences that are better, worse and equal to the baseline's, and finds the largest changes."""
    (first, baseline), system, source = next(iter(test_set.systems.items())), test_set.systems[name], test_set.source

    def shown(index: int) -> dict[str, Any]:
        return {
            "line": index + 1,
            "source": source[index] if source is not None else None,
            "reference": test_set.references[0][index],
            "baseline": baseline[index],
            "system": system[index],
            "baseline_score": scores[first][index],
            "system_score": scores[name][index],
        }

    sign = 1 if metric.higher_is_better else -1
    gains = [sign * (new - old) for old, new in zip(scores[first], scores[name], strict=True)]
    better = sorted((i for i, gain in enumerate(gains) if gain > 0), key=lambda i: -gains[i])
    worse = sorted((i for i, gain in enumerate(gains) if gain < 0), key=lambda i: gains[i])
    return {
        "metric": metric.name,
        "num_better": len(better),
        "num_worse": len(worse),
        "num_same": gains.count(0),
        "better": list(map(shown, better[:num_sentences])),
        "worse": list(map(shown, worse[:num_sentences])),
    }
