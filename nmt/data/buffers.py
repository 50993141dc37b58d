"""Shuffle buffers: an epoch reads a corpus of any size in parts that fit into memory.

Sorting by length and shuffling need memory for each pair, so only one buffer of pairs is sorted at a time. Its pairs
are drawn from the whole corpus by a keyed permutation of the indices, which is computed and not stored.
"""

import numpy as np
import numpy.typing as npt

BUFFER_SIZE = 250_000  # maximum number of pairs of a buffer, whose ids take about 25 MB
ROUNDS = 4

Rows = npt.NDArray[np.int64]


class ShuffleBuffers:
    """Divides the training pairs of a corpus into buffers of nearly equal size, at most ``most`` pairs.

    ``size`` is the number of pairs of the corpus; ``held_out`` are those that don't belong to training, ascending.
    """

    def __init__(self, size: int, held_out: Rows | None = None, most: int = BUFFER_SIZE) -> None:
        held_out = np.zeros(0, np.int64) if held_out is None else held_out
        self._num_pairs = size - len(held_out)
        self._gaps = held_out - np.arange(len(held_out))
        """For each held-out pair the number of training pairs before it."""
        self.count = max(1, -(-self._num_pairs // most))

    def __len__(self) -> int:
        return self._num_pairs

    def rows(self, number: int, *key: int) -> Rows:
        """Returns the pairs of a buffer, ascending; each key gives another division. [N]"""
        bounds = [self._num_pairs * part // self.count for part in (number, number + 1)]
        chosen = np.arange(*bounds)
        if self.count > 1:
            chosen = np.sort(permuted(chosen, self._num_pairs, *key))
        return chosen + np.searchsorted(self._gaps, chosen, side="right")


def permuted(index_N: Rows, size: int, *key: int) -> Rows:
    """Applies a keyed permutation of 0 … size - 1 to indices. [N]

    A Feistel network (Luby and Rackoff 1988) permutes the numbers of 2h bits; what falls outside of the range is
    permuted again until it falls inside (cycle walking, Black and Rogaway 2002), on average less than four times.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    multipliers, shifts = np.random.default_rng(key).integers(0, 1 << 63, (2, ROUNDS), dtype=np.uint64) | np.uint64(1)
    result = index_N.astype(np.uint64)
    outside = np.arange(len(result))
    while len(outside):
        value = result[outside]
        left, right = value >> np.uint64(half), value & mask
        for multiplier, shift in zip(multipliers, shifts, strict=True):
            # The high bits of a product depend on all bits of its factors; overflow is wanted.
            mixed = ((right + shift) * multiplier) >> np.uint64(64 - half)
            left, right = right, left ^ mixed
        result[outside] = value = left << np.uint64(half) | right
        outside = outside[value >= size]
    return result.astype(np.int64)
