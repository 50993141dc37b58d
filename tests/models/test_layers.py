"""Layers that the models share: dropout, embeddings and positions."""

import math

import pytest
import torch

from nmt.models.layers import Embedding, Positions, byte_mask, sinusoids


@pytest.mark.parametrize(
    ("rate", "dropped"),
    [(1e-6, 1), (0.003, 1), (0.1, 26), (0.3, 77), (0.5, 128), (0.9, 230), (0.997, 255), (0.9999, 255)],
)
def test_rates_are_rounded_to_256ths_and_the_scale_follows_them(rate: float, dropped: int) -> None:
    torch.manual_seed(42)
    mask = byte_mask(torch.empty(2000, 999), rate)
    assert mask.unique().tolist() == pytest.approx([0.0, 256 / (256 - dropped)])
    assert float((mask == 0).float().mean()) == pytest.approx(dropped / 256, abs=0.001)


def test_elements_are_dropped_independently() -> None:
    """Eight elements share a draw: neighbours, and equal places in neighbouring draws, must not agree more often."""
    torch.manual_seed(43)
    dropped = (byte_mask(torch.empty(160_000), 0.5) == 0).float()
    for distance in (1, 2, 3, 4, 5, 6, 7, 8, 16):
        together = float((dropped[distance:] * dropped[:-distance]).mean())
        assert together == pytest.approx(0.25, abs=0.01), f"distance {distance}"


@pytest.mark.parametrize("size", [8, 7])
def test_sinusoids_follow_the_formula(size: int) -> None:
    functions = [(math.sin, math.cos)[d % 2] for d in range(size)]
    expected = [[f(p / 10000 ** (2 * (d // 2) / size)) for d, f in enumerate(functions)] for p in range(40)]
    torch.testing.assert_close(sinusoids(40, size), torch.tensor(expected), atol=1e-5, rtol=0)


def test_sinusoids_of_fairseq_begin_with_position_2() -> None:
    expected = [[f(p / 10000 ** (i / 3)) for f in (math.sin, math.cos) for i in range(4)] + [0] for p in range(2, 42)]
    torch.testing.assert_close(sinusoids(40, 9, kind="sinusoidal_fairseq"), torch.tensor(expected), atol=1e-5, rtol=0)


def test_positions_go_on_where_the_last_call_stopped() -> None:
    """Token by token, far beyond what the first call computed, as search does."""
    positions = Positions(6)
    for start in range(600):
        found = positions(torch.zeros(1, 1, 6), start)
        if start in (0, 255, 256, 599):
            torch.testing.assert_close(found[0, 0], sinusoids(600, 6)[start])
    torch.testing.assert_close(positions(torch.ones(1, 2000, 6))[0], 1 + sinusoids(2000, 6))


def test_learned_positions_last_beyond_their_number() -> None:
    positions = Positions(6, "learned", max_positions=3)
    code = positions.learned.weight
    found = positions(torch.zeros(1, 4, 6), start=1)[0]
    torch.testing.assert_close(found, code[[1, 2, 2, 2]])


def test_an_embedding_is_scaled_and_pad_is_zero_and_stays_so() -> None:
    torch.manual_seed(31)
    plain, scaled = Embedding(10, 16, pad=3), Embedding(10, 16, pad=3, scale=True)
    scaled.table.weight = plain.weight
    ids = torch.tensor([[1, 3, 9]])
    torch.testing.assert_close(scaled(ids), 4 * plain(ids))
    assert not plain(ids)[0, 1].any()
    scaled(ids).sum().backward()
    gradient = plain.weight.grad
    assert not gradient[3].any()
    assert gradient[1].any()
