"""Competition among words, and links from one or two directions."""

import numpy as np
import pytest

from nmt.alignment.extract import LinkOptions, balance, word_links
from nmt.alignment.symmetrize import symmetrize
from nmt.errors import UserError

# The third source word draws the eyes of all target words, as the end of a sentence often does.
DISTRACTED = np.array([[0.4, 0.1, 0.5], [0.1, 0.35, 0.55], [0.05, 0.05, 0.9]], dtype=np.float32)
PLAIN = LinkOptions(symmetrize="none")


def test_balance_shares_by_source_and_then_by_target_word() -> None:
    columns = DISTRACTED / DISTRACTED.sum(axis=0)
    np.testing.assert_allclose(balance(DISTRACTED), columns / columns.sum(axis=1, keepdims=True), rtol=1e-5)
    assert balance(DISTRACTED).dtype == np.float32


def test_words_without_attention_get_none() -> None:
    weights = np.array([[0.0, 0.0], [0.0, 0.7]], dtype=np.float32)
    assert balance(weights).tolist() == [[0, 0], [0, 1]]
    assert word_links(weights, LinkOptions()) == ((1, 1),)


def test_competition_finds_the_words_of_distracted_attention() -> None:
    assert DISTRACTED.argmax(axis=1).tolist() == [2, 2, 2]
    assert word_links(DISTRACTED, PLAIN) == ((0, 0), (1, 1), (2, 2))


def test_source_words_choose_among_the_columns() -> None:
    # Two source words for one target word: only the source words' own choice gives both.
    weights = np.array([[0.5, 0.4, 0.1], [0.05, 0.05, 0.9]], dtype=np.float32)
    assert word_links(weights, PLAIN) == ((0, 0), (2, 1))
    assert word_links(weights, LinkOptions(symmetrize="union")) == ((0, 0), (1, 0), (2, 1))
    assert word_links(weights, LinkOptions()) == ((0, 0), (1, 0), (2, 1)), "the neighbour of a sure link is taken in"
    assert word_links(weights, LinkOptions(symmetrize="intersection")) == ((0, 0), (2, 1))


@pytest.mark.parametrize("method", ["argmax", "threshold"])
def test_a_model_of_the_other_direction_replaces_the_columns(method: str) -> None:
    rng = np.random.default_rng(0)
    forward, backward = rng.dirichlet([0.3] * 5, size=4), rng.dirichlet([0.3] * 4, size=5)
    alone = LinkOptions(method=method, symmetrize="none")  # type: ignore[arg-type]
    ahead = word_links(forward.astype(np.float32), alone)
    back = [(source, target) for target, source in word_links(backward.astype(np.float32), alone)]
    both = LinkOptions(method=method, symmetrize="grow-diag-final")  # type: ignore[arg-type]
    found = word_links(forward.astype(np.float32), both, backward.astype(np.float32))
    assert found == symmetrize(ahead, back, "grow-diag-final")
    assert found != ahead


def test_threshold_is_of_the_attention_itself_and_the_same_from_both_sides() -> None:
    options = LinkOptions(method="threshold", threshold=0.5)
    assert word_links(DISTRACTED, options) == ((2, 0), (2, 1), (2, 2))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_no_words_no_links(shape: tuple[int, int]) -> None:
    assert word_links(np.zeros(shape, np.float32), LinkOptions()) == ()


def test_an_unknown_way_to_symmetrize_is_refused() -> None:
    with pytest.raises(UserError, match="unknown symmetrization"):
        word_links(DISTRACTED, LinkOptions(symmetrize="both"))  # type: ignore[arg-type]
