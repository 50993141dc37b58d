"""Minimum Bayes risk: the candidate that is most like all the others (Kumar & Byrne 2004; Eikema & Aziz 2020)."""

from collections.abc import Sequence
from typing import Literal

Utility = Literal["chrf", "bleu"]


def expected_utilities(candidates: Sequence[str], utility: Utility) -> list[float]:
    """The mean likeness of each candidate to all of them, 0 to 100.

    Each counts as an equally likely reference: a sample that was drawn twice counts twice.

    Args:
        candidates: samples, or an n-best list.
        utility: sentence-level ``chrf`` or smoothed ``bleu`` of sacreBLEU.
    """
    from sacrebleu import BLEU, CHRF

    metric = CHRF() if utility == "chrf" else BLEU(effective_order=True)
    times = {text: candidates.count(text) for text in candidates}
    found = {
        text: sum(n * metric.sentence_score(text, [other]).score for other, n in times.items()) / len(candidates)
        for text in times
    }
    return [found[text] for text in candidates]
