"""From hypotheses to text: minimum Bayes risk, and words in place of UNK."""

import pytest
from sacrebleu import sentence_bleu, sentence_chrf

from nmt.data.vocabulary.words import WordVocabulary
from nmt.extensions.search.mbr import expected_utilities
from nmt.translation.results import Candidate, mbr_rerank, spell_unknown

CANDIDATES = [
    "A dog runs across the grass.",
    "A dog is running across the grass.",
    "Two women are talking.",
    "A dog runs over the grass.",
    "A dog runs across the grass.",
    "A dog.",  # too short for 4-grams of words
]
WORDS = WordVocabulary(["▁the", "▁dog", ".", "▁of"])
THE, DOG, DOT, OF = range(4, 8)


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
    candidates = [Candidate(text, 0.0, []) for text in texts]
    found = [each.text for each in mbr_rerank(candidates, "chrf", "")]
    assert sorted(found) == sorted(texts)
    assert (found[0] == CANDIDATES[2]) is (repetitions > 1)


def test_words_take_the_places_of_unk_with_the_right_spaces() -> None:
    unk = WORDS.unk
    assert spell_unknown([THE, unk, DOT], WORDS, {1: "Fritz"}) == "the Fritz."
    assert spell_unknown([unk, OF, THE, unk], WORDS, {0: "Karl", 3: "Wald"}) == "Karl of the Wald"
    assert spell_unknown([unk, unk], WORDS, {0: "a", 1: "b"}) == "a b"
    assert spell_unknown([THE, DOG, DOT], WORDS, {}) == WORDS.decode([THE, DOG, DOT])
