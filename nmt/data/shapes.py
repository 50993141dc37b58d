"""Few shapes of batches: lengths to which sentences are padded so that a device can reuse what it prepared for a shape.

N sentences, K shapes. A shape is a length of the source and one of the target, EOS included; it holds as many sentences
as a budget of positions of the longer side allows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MOST_SHAPES = 36  # with 16 shapes, 10 to 13 % of the positions of three corpora are padding; with 36, 6 to 8 %

FIRST_SHAPES = 128  # number of shapes before they are merged

Lengths = npt.NDArray[np.int64]


class PlannedBatch(NamedTuple):
    """A batch to be made."""

    indices: Lengths  # its sentences
    shape: tuple[int, int, int]  # rows, which can be more than sentences, and the lengths of source and target


def choose_shapes(source_length_N: Lengths, target_length_N: Lengths, most: int = MOST_SHAPES) -> Lengths:
    """Returns lengths of source and target that need little padding, the shortest first. [K, 2]

    Begins with more shapes, found by dividing. As long as there are more than ``most``, those two become one whose
    union adds the fewest positions (agglomerative clustering). Each sentence is then with the shortest shape that holds
    it.
    """
    pairs_P2, count_P = np.unique(np.stack([source_length_N, target_length_N], 1), axis=0, return_counts=True)
    shapes_K2 = _divided(pairs_P2, count_P, FIRST_SHAPES)
    while True:
        shapes_K2 = shapes_K2[np.argsort(shapes_K2.sum(1), kind="stable")]
        assigned_P = holds(pairs_P2, shapes_K2).argmax(1)  # the shortest shape that holds each sentence
        used_K = np.unique(assigned_P)
        # A shape needs to be only as long as its longest sentences.
        shapes_K2 = np.array([pairs_P2[assigned_P == k].max(0) for k in used_K])
        if len(shapes_K2) <= most:
            return shapes_K2[np.argsort(shapes_K2.sum(1), kind="stable")]
        size_K = np.array([count_P[assigned_P == k].sum() for k in used_K])
        union_KK2 = np.maximum(shapes_K2[:, None], shapes_K2)
        added_KK = union_KK2.sum(2) - shapes_K2.sum(1)[:, None]
        cost_KK = (size_K[:, None] * added_KK + (size_K[:, None] * added_KK).T).astype(float)
        np.fill_diagonal(cost_KK, np.inf)
        pair = np.unravel_index(cost_KK.argmin(), cost_KK.shape)
        shapes_K2 = np.concatenate([np.delete(shapes_K2, pair, axis=0), union_KK2[pair][None]])


def _divided(pairs_P2: Lengths, count_P: Lengths, most: int) -> Lengths:
    """The shapes of up to ``most`` rectangles of lengths, made by cutting the one where that saves most positions."""
    cells = [np.arange(len(pairs_P2))]
    cuts = [_best_cut(pairs_P2, count_P, cells[0])]
    while len(cells) < most and max(saved for saved, _ in cuts) > 0:
        k = max(range(len(cells)), key=lambda index: cuts[index][0])
        cells[k : k + 1] = cuts[k][1]
        cuts[k : k + 1] = [_best_cut(pairs_P2, count_P, cell) for cell in cells[k : k + 2]]
    return np.unique([pairs_P2[cell].max(0) for cell in cells], axis=0)


def _best_cut(pairs_P2: Lengths, count_P: Lengths, cell: Lengths) -> tuple[int, list[Lengths]]:
    """The positions that are saved by the best division of some pairs by the length of one side, and its two parts."""
    best, parts = 0, [cell]
    for side in range(2):
        order = cell[np.argsort(pairs_P2[cell, side], kind="stable")]
        lengths_M2, count_M = pairs_P2[order], count_P[order].cumsum()
        end_M = np.flatnonzero(np.diff(lengths_M2[:, side])) + 1  # a cut is between two lengths
        if not len(end_M):
            continue
        first_M, rest_M = np.maximum.accumulate(lengths_M2), np.maximum.accumulate(lengths_M2[::-1])[::-1]
        num_first = count_M[end_M - 1]
        positions = num_first * first_M[end_M - 1].sum(1) + (count_M[-1] - num_first) * rest_M[end_M].sum(1)
        saved = count_M[-1] * first_M[-1].sum() - positions
        if saved.max() > best:
            end = end_M[saved.argmax()]
            best, parts = int(saved.max()), [order[:end], order[end:]]
    return best, parts


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
