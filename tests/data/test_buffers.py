"""ShuffleBuffers: every pair of an epoch is in one of them, by a formula that depends on its key alone."""

from collections import Counter

import numpy as np
import pytest

from nmt.data.buffers import ShuffleBuffers, permuted


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 65, 1000])
def test_a_permutation_reaches_each_index_once(size: int) -> None:
    for key in range(5):
        assert sorted(permuted(np.arange(size), size, key, 7)) == list(range(size))


def test_all_permutations_occur_about_equally_often() -> None:
    """Of three elements there are six; 3,000 keys give each 500 times on average, with a standard deviation of 20."""
    seen = Counter(tuple(permuted(np.arange(3), 3, key).tolist()) for key in range(3000))
    assert len(seen) == 6
    assert min(seen.values()) > 350
    assert max(seen.values()) < 650


def test_neighbours_are_not_neighbours_afterwards() -> None:
    """Without cost for the size: only the indices that are asked for are computed."""
    size = 10**12
    places = permuted(np.arange(10_000), size, 1)
    assert len(np.unique(places)) == 10_000
    assert np.all((places >= 0) & (places < size))
    assert abs(np.corrcoef(np.arange(10_000), places)[0, 1]) < 0.05
    assert np.mean(places) / size == pytest.approx(0.5, abs=0.02)


def test_pools_divide_the_training_pairs() -> None:
    held_out = np.array([0, 3, 4, 99])
    pools = ShuffleBuffers(100, held_out, most=40)
    assert (len(pools), pools.count) == (96, 3)
    rows = [pools.rows(number, 5, 0) for number in range(3)]
    assert [len(each) for each in rows] == [32, 32, 32]
    assert sorted(np.concatenate(rows)) == [row for row in range(100) if row not in held_out]
    assert all(np.all(np.diff(each) > 0) for each in rows)
    assert rows[0].tolist() != pools.rows(0, 5, 1).tolist()


def test_a_corpus_that_is_one_pool_is_in_its_own_order() -> None:
    assert ShuffleBuffers(6, np.array([1, 2])).rows(0, 3).tolist() == [0, 3, 4, 5]
