"""Heads that are chosen, and the lexicon that is learned: counts, probabilities, file."""

from pathlib import Path

import numpy as np
import pytest

from nmt.alignment.extract import balance
from nmt.alignment.lexicon import UNSEEN, Lexicon
from nmt.alignment.links import Weights, WordAlignment
from nmt.core.errors import UserError
from nmt.extensions.lexicon.learning import (
    LEAST_COUNT,
    HeadWeights,
    choose_heads,
    counted,
    learn_lexicon,
    write_lexicon,
)
from nmt.extensions.lexicon.posterior import LEAST_SHARE

CORPUS: list[tuple[list[str], list[str], Weights]] = [
    (["der", "Hund"], ["the", "dog"], np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)),
    (["Der", "Hund,"], ['"the', 'cat"'], np.array([[0.6, 0.4], [LEAST_SHARE / 2, 0.8]], np.float32)),
]


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
    texts = [("ein Buch", "a book"), ("das Buch", "the book"), ("das Haus", "the house")]
    corpus = [aligned(source, target, [[0.5, 0.5], [0.5, 0.5]]) for source, target in texts]
    found = learn_lexicon(iter(corpus * 5)).probability(["Buch", "das"], ["book", "the", "a"])
    assert found[0, 0] > 0.8
    assert found[1, 1] > 0.8
    first = counted((pair.source, pair.target, balance(pair.weights)) for pair in corpus * 5)
    assert first.probability(["Buch"], ["book"])[0, 0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_with_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.extensions.lexicon.learning.TemporaryFile", lambda: open("/dev/full", "w+b", buffering=0))  # noqa: SIM115
    pairs = [aligned("der Hund", "the dog", [[0.9, 0.1], [0.1, 0.9]])] * 3
    with pytest.raises(UserError, match=r"can't be kept in .*: No space left on device.*\n.*TMPDIR"):
        learn_lexicon(pairs)


def test_probabilities_are_shares_of_the_counts_and_a_little_of_every_word() -> None:
    lexicon = counted(CORPUS)
    assert len(lexicon) == 5, "der and cat are below the least share"
    found = lexicon.probability(["der", "Hund"], ["the", "dog", "cat"])
    counts = np.array([[1.5, 0.5], [0.3, 0.7], [0, 0.8]])
    prior = counts.sum(axis=1, keepdims=True) / counts.sum()
    np.testing.assert_allclose(found, (counts + UNSEEN * prior) / (counts.sum(axis=0) + UNSEEN), rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)


def test_a_word_as_long_as_a_line_of_text_can_be_read_back(tmp_path: Path) -> None:
    """A line of the file holds two words, each of which may fill a line of text."""
    longest = "a" * 130_000
    path = tmp_path / "lexicon.tsv"
    write_lexicon(Lexicon({longest: {longest: 1.0}}), path)
    assert len(Lexicon.load(path)) == 1


def test_it_is_kept_as_a_file_that_people_can_read_without_rare_pairs(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    lexicon = Lexicon({"katze": {"cat": 1.0}, "hund": {"cat": LEAST_COUNT * 0.99, "hound": LEAST_COUNT, "dog": 3.1416}})
    write_lexicon(lexicon, path)
    assert path.read_text("utf-8") == f"hund\tdog\t3.142\nhund\thound\t{LEAST_COUNT:g}\nkatze\tcat\t1\n"
    assert dict(Lexicon.load(path).items())["hund"] == {"dog": 3.142, "hound": LEAST_COUNT}
