"""Dropout from random bytes: as many zeros as asked for, the same expectation, and nothing outside training."""

import pytest
import torch

from nmt.models.dropout import Dropout, byte_mask


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_rate_and_expectation(rate: float) -> None:
    torch.manual_seed(41)
    mask = byte_mask(torch.empty(400, 999), rate)
    assert float((mask == 0).float().mean()) == pytest.approx(rate, abs=1 / 512 + 0.004)
    # The scale follows the rate that bytes can express, so the mean is 1 but for chance.
    assert float(mask.double().mean()) == pytest.approx(1.0, abs=0.02)
    assert len(mask.unique()) == 2


@pytest.mark.parametrize("rate", [1e-6, 0.003, 0.997, 0.9999])
def test_rates_near_the_ends_of_the_range(rate: float) -> None:
    torch.manual_seed(42)
    mask = byte_mask(torch.empty(100_000), rate)
    assert mask.isfinite().all()
    assert 0 < float((mask == 0).float().mean()) < 1
    assert float(mask.mean()) == pytest.approx(1.0, abs=0.3)


def test_elements_are_dropped_independently() -> None:
    """Eight elements share a draw: neighbours, and equal places in neighbouring draws, must not agree more often."""
    torch.manual_seed(43)
    dropped = (byte_mask(torch.empty(160_000), 0.5) == 0).float()
    for distance in (1, 2, 3, 4, 5, 6, 7, 8, 16):
        together = float((dropped[distance:] * dropped[:-distance]).mean())
        assert together == pytest.approx(0.25, abs=0.01), f"distance {distance}"


def test_rows_get_masks_of_their_own_and_a_seed_repeats_them() -> None:
    dropout = Dropout(0.5)
    torch.manual_seed(44)
    first, second = dropout(torch.ones(3, 50)), dropout(torch.ones(3, 50))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    torch.manual_seed(44)
    assert torch.equal(dropout(torch.ones(3, 50)), first)


def test_nothing_happens_in_eval_mode_or_at_rate_zero() -> None:
    x = torch.randn(20, 20)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_the_gradient_goes_through_the_same_mask() -> None:
    torch.manual_seed(45)
    x = torch.ones(10, 10, requires_grad=True)
    dropped = Dropout(0.4)(x)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped.detach())


def test_any_shape_and_type() -> None:
    torch.manual_seed(46)
    dropout = Dropout(0.5)
    assert dropout(torch.empty(0, 4)).numel() == 0
    sliced = torch.ones(30, 30, dtype=torch.bfloat16).t()[::2]
    dropped = dropout(sliced)
    assert dropped.dtype == torch.bfloat16
    assert set(dropped.float().unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Dropout(rate)
