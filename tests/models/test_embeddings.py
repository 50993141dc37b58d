"""Embeddings, position codes, and the masks that follow from lengths."""

import math

import pytest
import torch

from nmt.models.embeddings import Embedding, Positions, sinusoids
from nmt.models.masks import length_mask, reverse_within


@pytest.mark.parametrize("size", [8, 7])
def test_sinusoids_follow_the_formula(size: int) -> None:
    code = sinusoids(40, size)
    for position in range(40):
        for dimension in range(size):
            angle = position / 10000 ** (2 * (dimension // 2) / size)
            expected = math.cos(angle) if dimension % 2 else math.sin(angle)
            assert float(code[position, dimension]) == pytest.approx(expected, abs=1e-5)


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
    assert positions.learned is not None
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
    assert gradient is not None
    assert not gradient[3].any()
    assert gradient[1].any()


def test_word_dropout_takes_whole_words_in_training_alone() -> None:
    torch.manual_seed(32)
    embedding = Embedding(10, 16, pad=3, dropout=0.25)
    ids = torch.randint(4, 10, (200, 50))
    found, whole = embedding(ids), embedding.eval()(ids)
    torch.testing.assert_close(whole, embedding.weight[ids])
    dropped = ~found.any(dim=-1)
    assert float(dropped.float().mean()) == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(found[~dropped], whole[~dropped] / 0.75)
    assert 0 < dropped[ids == 4].float().mean() < 1  # each occurrence by itself


def test_the_length_mask_is_true_before_the_length() -> None:
    assert length_mask(torch.tensor([2, 0, 3]), 3).tolist() == [[True, True, False], [False] * 3, [True] * 3]


def test_reversal_leaves_padding_in_place() -> None:
    x_BSD = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [9, -1, -2, -3, -4]])[:, :, None]
    found = reverse_within(x_BSD, torch.tensor([3, 5, 1]))[:, :, 0].tolist()
    assert found == [[3, 2, 1, 0, 0], [8, 7, 6, 5, 4], [9, -1, -2, -3, -4]]
