"""Minimum Bayes risk."""

import pytest
from sacrebleu import sentence_bleu, sentence_chrf

from nmt.decoding.mbr import expected_utilities

CANDIDATES = [
    "A dog runs across the grass.",
    "A dog is running across the grass.",
    "Two women are talking.",
    "A dog runs over the grass.",
    "A dog runs across the grass.",
    "A dog.",  # too short for 4-grams of words
]


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
def test_it_is_the_mean_likeness_to_every_candidate(utility: str) -> None:
    metric = sentence_chrf if utility == "chrf" else sentence_bleu
    expected = [sum(metric(text, [other]).score for other in CANDIDATES) / len(CANDIDATES) for text in CANDIDATES]
    found = expected_utilities(CANDIDATES, utility)
    assert found == pytest.approx(expected)
    assert found.index(max(found)) == 0
    assert found.index(min(found)) == 2
