"""Parts of beam search: the best continuations against sorting everything, penalties against their formulas."""

import math

import pytest
import torch

from nmt.config import DecodingOptions
from nmt.decoding.beam import Coverage, length_normalised, log_normaliser, top_continuations


@pytest.mark.parametrize("num_pieces", [2, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("count", [1, 2, 10, 24])
def test_they_are_those_of_a_sort(num_pieces: int, count: int) -> None:
    generator = torch.Generator().manual_seed(num_pieces + count)
    logits = torch.randn(3, 4, num_pieces, generator=generator)
    logits[1, :, ::2] = float("-inf")
    offset = torch.randn(3, 4, generator=generator)
    offset[2, 1:] = float("-inf")
    found, hypothesis, piece = top_continuations(logits, offset, count)
    everything = (logits + offset[:, :, None]).flatten(1).sort(dim=1, descending=True)
    count = min(count, 4 * num_pieces)
    torch.testing.assert_close(found, everything.values[:, :count])
    finite = found.isfinite()
    where = (hypothesis * num_pieces + piece)[finite]
    assert torch.equal(where, everything.indices[:, :count][finite])
    assert piece.max() < num_pieces
    assert hypothesis.max() < 4


def test_the_normaliser_survives_large_and_forbidden_logits() -> None:
    logits = torch.tensor([[1000.0, 1000.0, -1000.0], [float("-inf"), 0.0, 1.0]])
    torch.testing.assert_close(log_normaliser(logits), logits.logsumexp(1))


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
    coverage = Coverage(torch.zeros(2, 3), mask)
    coverage.total_NS += torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.6, 0.0]])
    coverage.total_NS += torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.9, 0.0]])
    expected = [math.log(1.0) + math.log(0.5) + math.log(0.2), math.log(0.5) + math.log(1.0)]
    assert coverage.penalty(0.3).tolist() == pytest.approx([0.3 * x for x in expected])
    swapped = coverage.reorder(torch.tensor([1, 0, 1])).penalty(2.0).tolist()
    assert swapped == pytest.approx([2 * expected[1], 2 * expected[0], 2 * expected[1]])


def test_a_word_that_nobody_looked_at_is_finite() -> None:
    mask = torch.tensor([[True, True]])
    assert Coverage(torch.zeros(1, 2), mask).penalty(0.2).isfinite().all()
