"""Minimum Bayes risk: the candidate that is most like all the others (Kumar & Byrne 2004; Eikema & Aziz 2020)."""

from collections.abc import Sequence
from typing import Literal

from nmt.decoding.results import Candidate

Utility = Literal["chrf", "bleu"]


def by_likeness(candidates: list[Candidate], utility: Utility | Literal["none"]) -> list[Candidate]:
    """The candidates, the one that is most like all the others first; as they are for ``none``."""
    if utility == "none" or len(candidates) < 2:
        return candidates
    utilities = expected_utilities([candidate.text for candidate in candidates], utility)
    order = sorted(range(len(candidates)), key=lambda i: -utilities[i])
    return [candidates[i] for i in order]


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
