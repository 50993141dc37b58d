"""Minimum Bayes risk: the candidate that is most like all the others (Kumar & Byrne 2004; Eikema & Aziz 2020)."""

from collections.abc import Sequence
from functools import cache

from nmt.decoding.results import Candidate
from nmt.evaluation.metrics import METRICS, Metric


def by_likeness(candidates: list[Candidate], utility: str, source: str) -> list[Candidate]:
    """The candidates, the one that is most like all the others first; as they are for ``none``.

    Args:
        candidates: translations of one sentence.
        utility: a name of ``METRICS``, or ``none``.
        source: the sentence, for metrics that need it.
    """
    if utility == "none" or len(candidates) < 2:
        return candidates
    utilities = expected_utilities([candidate.text for candidate in candidates], utility, source)
    order = sorted(range(len(candidates)), key=lambda i: -utilities[i])
    return [candidates[i] for i in order]


def expected_utilities(candidates: Sequence[str], utility: str, source: str = "") -> list[float]:
    """The mean score of each candidate with each of all candidates as the reference; higher is better.

    Each counts as an equally likely reference: a sample that was drawn twice counts twice.

    Args:
        candidates: samples, or an n-best list.
        utility: a name of ``METRICS``; its scores of single sentences count, negated where lower is better.
        source: what the candidates translate.
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
    """One for all sentences, because a neural metric takes long to load."""
    return kind()
