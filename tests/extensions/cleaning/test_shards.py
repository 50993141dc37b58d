"""Pairs of a shard that an earlier shard has, too."""

import numpy as np

from nmt.extensions.cleaning.shards import _shared


def test_what_an_earlier_shard_has_counts_and_what_the_shard_itself_repeats_does_not() -> None:
    shards = [np.array(each, np.uint64) for each in ([1, 2, 2], [2, 3, 5, 5], [], [3, 1, 4, 1])]
    assert [each.tolist() for each in _shared(shards)] == [[], [2], [], [1, 3]]
