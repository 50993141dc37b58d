"""The best continuations, against sorting everything."""

import pytest
import torch

from nmt.decoding.topk import log_normaliser, top_continuations


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
