"""Symmetrization against the pseudo-code of the literature, written out plainly on a grid."""

from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.links import Link
from nmt.alignment.symmetrize import Symmetrization, symmetrize
from nmt.errors import UserError

SIZE = 6
links_sets = st.sets(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)))
Grid = npt.NDArray[np.bool_]


def grid(links: set[Link]) -> Grid:
    made = np.zeros((SIZE, SIZE), dtype=bool)
    for source, target in links:
        made[target, source] = True
    return made


def plainly(forward: set[Link], backward: set[Link], how: str) -> set[Link]:
    """Koehn's GROW-DIAG-FINAL(-AND), line by line: rows are target words e, columns source words f."""
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
    if how != "grow-diag":
        for direction in (a, b):
            for e in range(SIZE):
                for f in range(SIZE):
                    free = not found[e].any(), not found[:, f].any()
                    if direction[e, f] and (all(free) if how.endswith("and") else any(free)):
                        found[e, f] = True
    return {(int(f), int(e)) for e, f in zip(*np.nonzero(found), strict=True)}


@pytest.mark.parametrize("how", ["grow-diag", "grow-diag-final", "grow-diag-final-and"])
@given(forward=links_sets, backward=links_sets)
def test_growing_is_that_of_the_pseudo_code(how: Symmetrization, forward: set[Link], backward: set[Link]) -> None:
    assert set(symmetrize(forward, backward, how)) == plainly(forward, backward, how)


@given(forward=links_sets, backward=links_sets)
def test_all_ways_lie_between_intersection_and_union(forward: set[Link], backward: set[Link]) -> None:
    grown = set(symmetrize(forward, backward, "grow-diag"))
    assert set(symmetrize(forward, backward, "intersection")) == forward & backward <= grown
    assert set(symmetrize(forward, backward, "union")) == forward | backward
    for how in ("grow-diag-final", "grow-diag-final-and"):
        found = symmetrize(forward, backward, how)  # type: ignore[arg-type]
        assert grown <= set(found) <= forward | backward
        assert list(found) == sorted(found)


@given(links_sets, st.sampled_from(get_args(Symmetrization)))
def test_directions_that_agree_stay_as_they_are(links: set[Link], how: Symmetrization) -> None:
    assert symmetrize(links, links, how) == tuple(sorted(links))


def test_each_way_on_an_example() -> None:
    forward, backward = {(0, 0), (1, 1), (3, 3), (5, 4)}, {(0, 0), (2, 1), (3, 3), (1, 4)}
    assert symmetrize(forward, backward, "grow-diag") == ((0, 0), (1, 1), (2, 1), (3, 3))
    assert symmetrize(forward, backward, "grow-diag-final-and") == ((0, 0), (1, 1), (2, 1), (3, 3), (5, 4))
    far = symmetrize({(0, 0), (0, 4)}, {(0, 0)}, "grow-diag-final")
    assert far == ((0, 0), (0, 4)), "one free word is enough"
    assert symmetrize({(0, 0), (0, 4)}, {(0, 0)}, "grow-diag-final-and") == ((0, 0),)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UserError, match="unknown symmetrization 'both'"):
        symmetrize([], [], "both")  # type: ignore[arg-type]
