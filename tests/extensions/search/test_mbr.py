"""Minimum Bayes risk: expected utilities, and what ``nmt translate --mbr`` chooses."""

from pathlib import Path

import pytest
from fixture_types import RunNmt
from sacrebleu import sentence_bleu, sentence_chrf

from nmt.decoding.ranking import mbr_order
from nmt.extensions.search.mbr import expected_utilities

SOURCE = "Der Hund schläft im Garten.\nDie Katze trinkt kaltes Wasser.\n"
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


@pytest.mark.parametrize("repetitions", [1, 3])
def test_a_sample_that_was_drawn_repeatedly_counts_repeatedly(repetitions: int) -> None:
    """By expected utility: chrF calls the two sentences about dogs alike, and that about women is unlike both."""
    texts = [*CANDIDATES[:2], *[CANDIDATES[2]] * repetitions]
    found = [texts[place] for place in mbr_order(texts, "chrf", "")]
    assert sorted(found) == sorted(texts)
    assert (found[0] == CANDIDATES[2]) is (repetitions > 1)


def test_mbr_takes_the_candidate_most_like_the_others(run_nmt: RunNmt, tiny_model: Path) -> None:
    options = ("--search", "sample", "--temperature", "2", "--beam-size", "8", "--n-best", "8")
    plain = run_nmt("translate", tiny_model, *options, stdin=SOURCE).stdout.splitlines()
    chosen = run_nmt("translate", tiny_model, *options, "--mbr", "chrf", stdin=SOURCE).stdout.splitlines()
    assert len(plain) == 2
    for before, after in zip(plain, chosen, strict=True):
        candidates = before.split("\t")
        assert sorted(candidates) == sorted(after.split("\t"))
        utilities = expected_utilities(candidates, "chrf")
        assert utilities[candidates.index(after.split("\t")[0])] == max(utilities)
