"""Competition among words, and links from one or two directions."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.extract import LinkOptions, balance, symmetrize, word_links
from nmt.alignment.links import Link

# The third source word draws the eyes of all target words, as the end of a sentence often does.
DISTRACTED = np.array([[0.4, 0.1, 0.5], [0.1, 0.35, 0.55], [0.05, 0.05, 0.9]], dtype=np.float32)
PLAIN = LinkOptions(symmetrize="none")


def test_balance_shares_by_source_and_then_by_target_word() -> None:
    columns = DISTRACTED / DISTRACTED.sum(axis=0)
    np.testing.assert_allclose(balance(DISTRACTED), columns / columns.sum(axis=1, keepdims=True), rtol=1e-5)
    assert balance(DISTRACTED).dtype == np.float32


def test_competition_finds_the_words_of_distracted_attention() -> None:
    assert DISTRACTED.argmax(axis=1).tolist() == [2, 2, 2]
    assert word_links(balance(DISTRACTED), PLAIN) == ((0, 0), (1, 1), (2, 2))


def test_source_words_choose_among_the_columns() -> None:
    # Two source words for one target word: only the source words' own choice gives both.
    weights = balance(np.array([[0.5, 0.4, 0.1], [0.05, 0.05, 0.9]], dtype=np.float32))
    assert word_links(weights, PLAIN) == ((0, 0), (2, 1))
    assert word_links(weights, LinkOptions(symmetrize="union")) == ((0, 0), (1, 0), (2, 1))
    assert word_links(weights, LinkOptions()) == ((0, 0), (1, 0), (2, 1)), "the neighbour of a sure link is taken in"
    assert word_links(weights, LinkOptions(symmetrize="intersection")) == ((0, 0), (2, 1))


def test_two_directions_choose_among_what_both_agree_on() -> None:
    # Each direction is wrong about one word that the other is sure of.
    forward = np.array([[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.0, 0.1, 0.9]], dtype=np.float32)
    backward = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.1, 0.5, 0.4]], dtype=np.float32)
    options = LinkOptions(method="threshold", threshold=0.45)
    assert word_links(forward, options) == ((0, 0), (0, 1), (2, 2))
    assert word_links(backward, options) == ((0, 0), (1, 1), (1, 2))
    assert word_links(forward, options, backward) == ((0, 0), (1, 1), (2, 2)), "(0.4 + 0.9) / 2 for two of them"
    assert word_links(forward, PLAIN, backward) == ((0, 0), (1, 1), (2, 2))


SIZE = 6
links_sets = st.sets(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)))
Grid = npt.NDArray[np.bool_]


def grid(links: set[Link]) -> Grid:
    made = np.zeros((SIZE, SIZE), dtype=bool)
    for source, target in links:
        made[target, source] = True
    return made


def plainly(forward: set[Link], backward: set[Link]) -> set[Link]:
    """Koehn's GROW-DIAG, line by line: rows are target words e, columns source words f."""
    a, b = grid(forward), grid(backward)
    union, found = a | b, a & b
    added = True
    while added:
        added = False
        for e in range(SIZE):
            for f in range(SIZE):
                if not found[e, f]:
                    continue
                for up, right in ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
                    e_new, f_new = e + up, f + right
                    if not (0 <= e_new < SIZE and 0 <= f_new < SIZE) or found[e_new, f_new]:
                        continue
                    if (not found[e_new].any() or not found[:, f_new].any()) and union[e_new, f_new]:
                        found[e_new, f_new] = added = True
    return {(int(f), int(e)) for e, f in zip(*np.nonzero(found), strict=True)}


@given(forward=links_sets, backward=links_sets)
def test_growing_is_that_of_the_pseudo_code(forward: set[Link], backward: set[Link]) -> None:
    found = symmetrize(forward, backward, "grow-diag")
    assert set(found) == plainly(forward, backward)
    assert list(found) == sorted(found)


@given(forward=links_sets, backward=links_sets)
def test_all_ways_lie_between_intersection_and_union(forward: set[Link], backward: set[Link]) -> None:
    grown = set(symmetrize(forward, backward, "grow-diag"))
    assert set(symmetrize(forward, backward, "intersection")) == forward & backward <= grown
    assert set(symmetrize(forward, backward, "union")) == forward | backward >= grown


@pytest.mark.parametrize(
    ("changes", "has_lexicon", "method", "threshold", "symmetrize"),
    [
        ({}, True, "threshold", 0.45, "grow-diag"),
        ({}, False, "argmax", 0.3, "grow-diag"),
        ({"symmetrize": "union"}, True, "argmax", 0.45, "union"),
        ({"method": "argmax"}, True, "argmax", 0.45, "grow-diag"),
        ({"method": "threshold"}, False, "threshold", 0.3, "grow-diag"),
        ({"threshold": 0.2}, True, "threshold", 0.2, "grow-diag"),
    ],
)
def test_how_links_are_chosen_depends_on_the_lexicon_unless_it_is_given(
    changes: dict[str, Any], has_lexicon: bool, method: str, threshold: float, symmetrize: str
) -> None:
    options = LinkOptions(**changes).resolved(has_lexicon)
    assert (options.method, options.threshold, options.symmetrize) == (method, threshold, symmetrize)
    assert options.resolved() == options.resolved(True) == options
