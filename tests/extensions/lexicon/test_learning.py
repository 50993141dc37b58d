"""Heads that are chosen, and the lexicon that is learned."""

from pathlib import Path

import numpy as np
import pytest

from nmt.alignment.extract import balance
from nmt.alignment.links import WordAlignment
from nmt.core.errors import UserError
from nmt.extensions.lexicon.learning import HeadWeights, choose_heads, counted, learn_lexicon


def aligned(source: str, target: str, weights: list[list[float]]) -> WordAlignment:
    return WordAlignment(tuple(source.split()), tuple(target.split()), np.array(weights, np.float32), ())


def test_heads_that_align_are_told_from_heads_that_do_not() -> None:
    rng = np.random.default_rng(1)
    weights: list[HeadWeights] = []
    for _ in range(60):
        truth = np.eye(8)[rng.permutation(8)]
        # Two heads see the truth through noise of their own, two look anywhere, one always at the last word.
        noise = rng.gamma(0.5, 0.5, (4, 8, 8))
        heads = [truth + noise[0], truth + noise[1], noise[2], noise[3]]
        heads.append(np.tile(np.eye(8)[7], (8, 1)) + 0.01)
        weights.append(np.stack([head / head.sum(axis=1, keepdims=True) for head in heads]).astype(np.float32))
    chosen, agreement = choose_heads(weights)
    assert set(chosen) == {0, 1}
    assert min(agreement[:2]) > max(agreement[2:])
    assert all(0 <= share <= 1 for share in agreement)


def test_learning_finds_what_attention_alone_does_not() -> None:
    """Attention prefers neither of two words; that *Buch* comes with *book* in other pairs tells them apart."""
    even = [[0.5, 0.5], [0.5, 0.5]]
    corpus = [
        aligned("ein Buch", "a book", even),
        aligned("das Buch", "the book", even),
        aligned("das Haus", "the house", even),
    ]
    found = learn_lexicon(iter(corpus * 5)).probability(["Buch", "das"], ["book", "the", "a"])
    assert found[0, 0] > 0.8
    assert found[1, 1] > 0.8
    first = counted((pair.source, pair.target, balance(pair.weights)) for pair in corpus * 5)
    assert first.probability(["Buch"], ["book"])[0, 0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_with_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.extensions.lexicon.learning.TemporaryFile", lambda: open("/dev/full", "w+b", buffering=0))  # noqa: SIM115
    pairs = [aligned("der Hund", "the dog", [[0.9, 0.1], [0.1, 0.9]])] * 3
    with pytest.raises(UserError, match=r"can't be kept in .*: No space left on device") as caught:
        learn_lexicon(pairs)
    assert "TMPDIR" in caught.value.remedy
