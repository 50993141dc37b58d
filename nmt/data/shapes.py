"""Few shapes of batches: lengths to which sentences are padded so that a device can reuse what it prepared for a shape.

N sentences, K shapes. A shape is a length of the source and one of the target, EOS included; it holds as many sentences
as a budget of positions of the longer side allows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MOST_SHAPES = 30  # with 16 shapes, 10 to 11 % of the positions of three corpora are padding; with 30, 7 to 8 %

Lengths = npt.NDArray[np.int64]


class PlannedBatch(NamedTuple):
    """A batch to be made."""

    indices: Lengths  # its sentences
    shape: tuple[int, int, int]  # rows, which can be more than sentences, and the lengths of source and target


def choose_shapes(source_length_N: Lengths, target_length_N: Lengths, most: int = MOST_SHAPES) -> Lengths:
    """Returns lengths of source and target that need little padding, the shortest first. [K, 2]

    A sentence is with the shortest shape that holds it. Begins with the lengths of sentences at equal distances in the
    sorted text, and changes one side of one shape at a time to the length with which all sentences together need the
    fewest positions, until no change helps (coordinate descent). The longest stays, so that each sentence has a shape.
    """
    pairs_P2, count_P = np.unique(np.stack([source_length_N, target_length_N], 1), axis=0, return_counts=True)
    order_P = np.argsort(pairs_P2.sum(1), kind="stable")
    positions_P = np.cumsum((pairs_P2.sum(1) * count_P)[order_P])
    begin_K = order_P[np.searchsorted(positions_P, (np.arange(most - 1) + 0.5) / (most - 1) * positions_P[-1])]
    shapes_K2 = np.concatenate([pairs_P2[begin_K], pairs_P2.max(0)[None]])
    positions, previous = 0, -1
    while positions != previous:
        for k in range(len(shapes_K2) - 1):
            other_P = _positions(pairs_P2, np.delete(shapes_K2, k, axis=0))
            for side in range(2):
                shapes_K2[k, side] = _best_length(pairs_P2, count_P, other_P, shapes_K2[k], side)
        positions, previous = int(count_P @ _positions(pairs_P2, shapes_K2)), positions
    shapes_K2 = shapes_K2[np.argsort(shapes_K2.sum(1), kind="stable")]
    return np.asarray(shapes_K2[np.unique(holds(pairs_P2, shapes_K2).argmax(1))])  # those that hold sentences


def _positions(pairs_P2: Lengths, shapes_K2: Lengths) -> Lengths:
    """The length of both sides of the shortest shape that holds each sentence. [P]"""
    size_K = shapes_K2.sum(1)
    return np.asarray(np.where(holds(pairs_P2, shapes_K2), size_K, size_K.max()).min(1))


def _best_length(pairs_P2: Lengths, count_P: Lengths, other_P: Lengths, shape_2: Lengths, side: int) -> int:
    """The length of one side of a shape that saves the most positions beside the other shapes.

    A shape of length v and w on the other side saves y - w - v positions of a sentence of length x for which the other
    shapes need y, where x <= v < y - w. The sums over all sentences are cumulative ones over v.
    """
    fits_P = pairs_P2[:, 1 - side] <= shape_2[1 - side]
    first_M, limit_M, count_M = pairs_P2[fits_P, side], other_P[fits_P] - shape_2[1 - side], count_P[fits_P]
    end_M = np.maximum(limit_M, first_M)  # where a shape that holds the sentence saves nothing, it ends as it begins
    lengths_V = np.arange(max(pairs_P2.max(), end_M.max(initial=0)) + 1)
    held_V, limits_V = (
        np.cumsum(np.bincount(first_M, weight_M, len(lengths_V)) - np.bincount(end_M, weight_M, len(lengths_V)))
        for weight_M in (count_M, count_M * limit_M)
    )
    return int((limits_V - held_V * lengths_V).argmax())


def holds(lengths_N2: Lengths, shapes_K2: Lengths) -> npt.NDArray[np.bool_]:
    """Returns whether each shape is long enough for each sentence. [N, K]"""
    source_NK, target_NK = (lengths_N2[:, side, None] <= shapes_K2[:, side] for side in range(2))
    return np.asarray(source_NK & target_NK)


def plan_shaped(
    source_length_N: Lengths, target_length_N: Lengths, shapes_K2: Lengths, batch_tokens: int, rng: np.random.Generator
) -> list[PlannedBatch]:
    """Divides sentences into batches of a few shapes, in random order.

    Each sentence goes to the shortest shape that holds it. What doesn't fill a batch goes on to longer shapes where
    that needs less padding than a batch with empty rows. Sentences that no shape holds are left out.
    """
    lengths_N2 = np.stack([source_length_N, target_length_N], 1)
    order_N = rng.permutation(len(lengths_N2))
    holds_NK = holds(lengths_N2, shapes_K2)
    shape_N = np.where(holds_NK.any(1), holds_NK.argmax(1), -1)
    batches: list[PlannedBatch] = []
    size_K = shapes_K2.sum(1)
    for k, (source, target) in enumerate(shapes_K2.tolist()):
        rows = max(1, batch_tokens // max(source, target))
        inside = order_N[shape_N[order_N] == k]
        rest = len(inside) % rows
        longer_MK = holds_NK[inside, k + 1 :]
        if rest and longer_MK.any(1).sum() >= rest:
            next_M = k + 1 + longer_MK.argmax(1)
            added_M = np.where(longer_MK.any(1), size_K[next_M], np.inf) - size_K[k]
            moved = np.argsort(added_M, kind="stable")[:rest]
            if added_M[moved].sum() < (rows - rest) * size_K[k]:
                shape_N[inside[moved]] = next_M[moved]
                inside = np.delete(inside, moved)
        batches += [PlannedBatch(inside[i : i + rows], (rows, source, target)) for i in range(0, len(inside), rows)]
    return [batches[index] for index in rng.permutation(len(batches))]
