"""The posterior of links, and the lexicon that is learned by it."""

import math
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest

from nmt.alignment.extract import LinkOptions, balance, word_links
from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import Weights
from nmt.extensions.lexicon.aligner import word_order
from nmt.extensions.lexicon.posterior import JUMP_DECAY, LEAST_SHARE, posteriors

SOURCE, TARGET = ["der", "Hund", "schläft"], ["the", "dog", "sleeps", "now"]
LEXICON = Lexicon({"der": {"the": 8.0}, "hund": {"dog": 5.0, "hound": 1.0}, "schläft": {"sleeps": 3.0, "the": 1.0}})


def posterior(source: Sequence[str], target: Sequence[str], weights: Weights, lexicon: Lexicon) -> Weights:
    [(found, _)] = posteriors([(source, target, balance(weights))], lexicon)
    return found


def test_it_is_the_sum_over_all_sequences_of_links() -> None:
    weights: Weights = np.random.default_rng(1).random((4, 3), np.float32)
    emissions = np.maximum(balance(weights), LEAST_SHARE) * LEXICON.probability(SOURCE, TARGET)
    jumps = [[(1 + abs(there - here - 1)) ** -JUMP_DECAY for there in range(3)] for here in range(3)]
    expected = np.zeros((4, 3))
    for links in product(range(3), repeat=4):
        p = np.prod([emissions[t, s] for t, s in enumerate(links)])
        for before, after in pairwise(links):
            p *= jumps[before][after] / sum(jumps[before])
        for t, s in enumerate(links):
            expected[t, s] += p
    found = posterior(SOURCE, TARGET, weights, LEXICON)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize("num_cells", [1, 40, 1 << 20])
def test_other_pairs_of_the_batch_change_nothing(monkeypatch: pytest.MonkeyPatch, num_cells: int) -> None:
    monkeypatch.setattr("nmt.extensions.lexicon.posterior.NUM_CELLS", num_cells)
    rng, source, target = np.random.default_rng(1), SOURCE, ["the", "dog", "now", "sleeps", "hound"]
    pairs = []
    for num_source, num_target in product(range(4), range(6)):
        weights = balance(rng.random((num_target, num_source)))
        pairs += [(source[:num_source], target[:num_target], weights)] * 2
    together = list(posteriors(iter(pairs), LEXICON))
    assert len(together) == len(pairs)
    for pair, kinds in zip(pairs, together, strict=True):
        [kinds_alone] = posteriors([pair], LEXICON)
        for found, alone in zip(kinds, kinds_alone, strict=True):
            assert found.shape == pair[2].shape
            np.testing.assert_allclose(found, alone, rtol=1e-5)


def test_links_are_chosen_by_the_mean_of_both_directions() -> None:
    weights = balance(np.random.default_rng(1).random((4, 3)))
    [(forward, both)] = posteriors([(SOURCE, TARGET, weights)], LEXICON)
    [(backward, _)] = posteriors([(TARGET, SOURCE, balance(weights.T))], LEXICON.reversed)
    np.testing.assert_allclose(both, (forward + backward.T) / 2, rtol=1e-5)


def test_without_attention_words_are_expected_near_the_diagonal() -> None:
    """Two *der* of one lexicon entry: each *the* is that of its own end of the sentence."""
    assert (word_order(5, 5).argmax(axis=1) == np.arange(5)).all()
    assert (word_order(6, 3).argmax(axis=1) == [0, 0, 1, 1, 2, 2]).all()
    assert word_order(2, 1)[:, 0] == pytest.approx([math.exp(-2 * 0.25)] * 2)
    lexicon = Lexicon({"der": {"the": 9.0}, "hund": {"dog": 9.0}, "mann": {"man": 9.0}})
    source, target = ["der", "Hund", "der", "Mann"], ["the", "dog", "the", "man"]
    found = posterior(source, target, word_order(4, 4), lexicon)
    assert word_links(found, LinkOptions(symmetrize="none")) == ((0, 0), (1, 1), (2, 2), (3, 3))
    assert word_order(3, 0).shape == (3, 0)


def test_a_word_without_attention_has_no_link() -> None:
    weights: Weights = np.array([[0, 0.4, 0.6], [0, 0.5, 0.5], [0, 0.5, 0.5], [0, 1, 0]], np.float32)
    [(found, both)] = posteriors([(SOURCE, TARGET, balance(weights))], LEXICON)
    assert not found[:, 0].any()
    assert not both[:, 0].any()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert not posterior(SOURCE, TARGET, np.zeros((4, 3), np.float32), LEXICON).any()
    assert posterior([], [], np.zeros((0, 0), np.float32), LEXICON).shape == (0, 0)


def test_a_long_sentence_does_not_underflow() -> None:
    words = [f"word{index}" for index in range(400)]
    found = posterior(words, words, np.eye(400, dtype=np.float32), LEXICON)
    assert (found.argmax(axis=1) == np.arange(400)).all()


def test_a_sentence_too_long_for_a_table_of_jumps_is_aligned_word_by_word() -> None:
    """The table of 40,000 words would take 12.8 GB."""
    weights: Weights = np.ones((1, 40_000), np.float32)
    found = posterior(["Hund", *["x"] * 39_999], ["dog"], weights, LEXICON)
    assert found.shape == weights.shape
    assert found[0].argmax() == 0
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-3)


def test_a_reversed_lexicon_has_the_same_counts() -> None:
    assert dict(LEXICON.reversed.items())["dog"] == {"hund": 5.0}
    assert dict(LEXICON.reversed.items())["the"] == {"der": 8.0, "schläft": 1.0}
    assert dict(LEXICON.reversed.reversed.items()) == dict(LEXICON.items())
