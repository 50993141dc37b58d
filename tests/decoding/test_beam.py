"""Parts of beam search: the best continuations against sorting everything, penalties against their formulas."""

import math

import pytest
import torch

from nmt.decoding.beam import log_coverage, top_continuations


@pytest.mark.parametrize("num_pieces", [2, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("count", [1, 2, 10, 24])
def test_they_are_those_of_a_sort(num_pieces: int, count: int) -> None:
    generator = torch.Generator().manual_seed(num_pieces + count)
    logits = torch.randn(3, 4, num_pieces, generator=generator)
    logits[1, :, ::2] = float("-inf")
    offset = torch.randn(3, 4, generator=generator)
    offset[2, 1:] = float("-inf")
    found, hypothesis, piece = top_continuations(logits.flatten(0, 1), offset, count)
    everything = (logits + offset[:, :, None]).flatten(1).sort(dim=1, descending=True)
    count = min(count, 4 * num_pieces)
    torch.testing.assert_close(found, everything.values[:, :count])
    finite = found.isfinite()
    where = (hypothesis * num_pieces + piece)[finite]
    assert torch.equal(where, everything.indices[:, :count][finite])
    assert piece.max() < num_pieces
    assert hypothesis.max() < 4


def test_coverage_penalty() -> None:
    """Two sentences of three words, the third of them padding in the second one."""
    mask = torch.tensor([[True, True, True], [True, True, False]])
    coverage = torch.tensor([[[1.3, 0.5, 0.2]], [[0.5, 1.5, 0.0]]])
    expected = [math.log(1.0) + math.log(0.5) + math.log(0.2), math.log(0.5) + math.log(1.0)]
    assert log_coverage(coverage, mask).flatten().tolist() == pytest.approx(expected)
    assert log_coverage(torch.zeros(2, 1, 3), mask).isfinite().all(), "even where nobody looked"
