"""Minimum Bayes risk decoding."""

from collections.abc import Sequence
from functools import cache

from nmt.metrics.table import METRICS, Metric


def expected_utilities(candidates: Sequence[str], utility: str, source: str = "") -> list[float]:
    """Returns the mean score of each candidate with each candidate as the reference; higher is better.

    The likeliest candidate by it has the minimum Bayes risk (Kumar & Byrne 2004; Eikema & Aziz 2020).
    All candidates count as equally likely references: a sample that was drawn twice counts twice.

    Args:
        candidates: samples, or an n-best list.
        utility: a name of ``METRICS``; its scores of single sentences count, negated where lower is better.
        source: the sentence that the candidates translate.
    """
    metric = _metric_of(METRICS[utility])
    times = {text: candidates.count(text) for text in candidates}
    pairs = [(text, other) for text in times for other in times]
    texts, others = zip(*pairs, strict=True)
    scores = metric.sentence_scores(texts, [others], [source] * len(pairs))
    sign = 1 if metric.higher_is_better else -1
    totals = dict.fromkeys(times, 0.0)
    for (text, other), score in zip(pairs, scores, strict=True):
        totals[text] += sign * times[other] * score
    return [totals[text] / len(candidates) for text in candidates]


@cache
def _metric_of(kind: type[Metric]) -> Metric:
    """Returns one object for all sentences, because a neural metric takes long to load."""
    return kind()
