"""Length and coverage penalties against their formulas."""

import math

import pytest
import torch

from nmt.config import DecodingOptions
from nmt.decoding.penalties import Coverage, length_normalised


@pytest.mark.parametrize(
    ("kind", "alpha", "length", "expected"),
    [
        ("none", 1.0, 7, -6.0),
        ("average", 1.0, 6, -1.0),
        ("average", 0.5, 9, -2.0),
        ("average", 0.0, 9, -6.0),
        ("gnmt", 1.0, 7, -3.0),
        ("gnmt", 2.0, 13, -6.0 / 9.0),
        ("gnmt", 0.6, 1, -6.0),
        ("gnmt", 0.6, 20, -6.0 / (2.5**0.6 * (10 / 6) ** 0.6)),
        ("word_reward", 0.5, 7, -2.5),
        ("word_reward", 0.0, 7, -6.0),
    ],
)
def test_length_penalties(kind: str, alpha: float, length: int, expected: float) -> None:
    options = DecodingOptions(length_penalty=kind, alpha=alpha)
    scores = length_normalised(options, torch.tensor([-6.0, -12.0]), length)
    assert scores[0].item() == pytest.approx(expected)
    by_row = length_normalised(options, torch.tensor([-6.0, -12.0]), torch.tensor([length, 1]))
    assert by_row[0].item() == pytest.approx(expected)


def test_coverage_penalty() -> None:
    """Two hypotheses over three words, the third of them padding for the second hypothesis."""
    mask = torch.tensor([[True, True, True], [True, True, False]])
    coverage = Coverage.none(mask)
    coverage = coverage.plus(torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.6, 0.0]]))
    coverage = coverage.plus(torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.9, 0.0]]))
    expected = [math.log(1.0) + math.log(0.5) + math.log(0.2), math.log(0.5) + math.log(1.0)]
    assert coverage.penalty(0.3).tolist() == pytest.approx([0.3 * x for x in expected])
    swapped = coverage.reorder(torch.tensor([1, 0, 1])).penalty(2.0).tolist()
    assert swapped == pytest.approx([2 * expected[1], 2 * expected[0], 2 * expected[1]])


def test_a_word_that_nobody_looked_at_is_finite() -> None:
    mask = torch.tensor([[True, True]])
    assert Coverage.none(mask).plus(torch.tensor([[1.0, 0.0]])).penalty(0.2).isfinite().all()
