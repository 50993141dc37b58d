"""Few shapes of batches."""

import numpy as np
import pytest

from nmt.data.shapes import MOST_SHAPES, Lengths, choose_shapes, holds, plan_shaped


def text(num_pairs: int, seed: int = 1) -> tuple[Lengths, Lengths]:
    """Lengths like those of news: long-tailed, and alike on both sides."""
    rng = np.random.default_rng(seed)
    source = np.clip(rng.lognormal(3.0, 0.6, num_pairs), 2, 150).astype(np.int64)
    target = np.clip(source * rng.normal(1.1, 0.15, num_pairs), 2, 150).astype(np.int64)
    return source, target


@pytest.mark.quick("16-*")
@pytest.mark.parametrize(("most", "padding"), [(16, 0.13), (MOST_SHAPES, 0.095)])
def test_few_shapes_hold_all_sentences_with_little_padding(most: int, padding: float) -> None:
    source, target = text(20_000)
    shapes = choose_shapes(source, target, most)
    assert len(shapes) <= most
    plan = plan_shaped(source, target, shapes, 4096, np.random.default_rng(1))
    assert sorted(np.concatenate([batch.indices for batch in plan])) == list(range(20_000))
    positions = sum(rows * (source_length + target_length) for _, (rows, source_length, target_length) in plan)
    assert 1 - (source + target).sum() / positions < padding
    assert len({batch.shape for batch in plan}) <= most
    for indices, (rows, source_length, target_length) in plan:
        assert len(indices) <= rows
        assert source[indices].max() <= source_length
        assert target[indices].max() <= target_length
        assert rows * max(source_length, target_length) <= 4096


def test_a_plan_depends_on_the_random_numbers_alone() -> None:
    lengths = text(2_000)
    shapes = choose_shapes(*lengths)
    plans = [plan_shaped(*lengths, shapes, 1024, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    texts = [[(batch.indices.tolist(), batch.shape) for batch in plan] for plan in plans]
    assert texts[0] == texts[1] != texts[2]


def test_sentences_that_no_shape_holds_are_left_out() -> None:
    source, target = text(500)
    shapes = choose_shapes(source, target)
    longer = source + 100
    plan = plan_shaped(longer, target, shapes, 1024, np.random.default_rng(1))
    planned = {index for batch in plan for index in batch.indices.tolist()}
    assert planned == set(np.flatnonzero(holds(np.stack([longer, target], 1), shapes).any(1)).tolist())


def test_equal_sentences_have_one_shape() -> None:
    length = np.full(100, 7)
    assert choose_shapes(length, length).tolist() == [[7, 7]]
