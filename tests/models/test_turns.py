"""Turns within a sequence: how they are numbered, folded and unfolded."""

from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nmt.models.masks import length_mask
from nmt.models.turns import Folding, number_turns

SEPARATOR, EOS, PAD = 4, 3, 0
# Many separators, so that there are empty turns in all places.
SOURCES = st.lists(st.lists(st.sampled_from([SEPARATOR, SEPARATOR, 5, 6, 7]), max_size=12), min_size=1, max_size=5)


def padded(sources: list[list[int]], padding: int = PAD) -> tuple[Tensor, Tensor]:
    """Ids with EOS, padded, and their mask."""
    length_B = torch.tensor([len(source) + 1 for source in sources])
    longest = int(length_B.max())
    rows = [[*source, EOS, *[padding] * (longest - len(source) - 1)] for source in sources]
    return torch.tensor(rows), length_mask(length_B, longest)


def turns_of(source: list[int]) -> list[list[int]]:
    """The turns of a source with what ends them, cut in the plainest way."""
    turns: list[list[int]] = [[]]
    for token in [*source, EOS]:
        turns[-1].append(token)
        if token == SEPARATOR:
            turns.append([])
    return turns


@given(SOURCES)
def test_turns_are_numbered_back_from_the_current_one(sources: list[list[int]]) -> None:
    ids_BS, mask_BS = padded(sources)
    turn_BS = number_turns(ids_BS, mask_BS, SEPARATOR)
    for row, source in enumerate(sources):
        numbers = turn_BS[row, : len(source) + 1].tolist()
        expected = turns_of(source)
        assert [len(list(group)) for _, group in groupby(numbers)] == [len(turn) for turn in expected]
        assert [number for number, _ in groupby(numbers)] == list(range(len(expected)))[::-1]
        assert not turn_BS[row, len(source) + 1 :].any()


@given(SOURCES)
def test_every_turn_becomes_a_row_and_finds_its_way_back(sources: list[list[int]]) -> None:
    ids_BS, mask_BS = padded(sources)
    folding = Folding.of(number_turns(ids_BS, mask_BS, SEPARATOR), mask_BS)
    folded_RW = folding.fold(ids_BS, PAD)
    expected = [turn for source in sources for turn in turns_of(source)]
    assert folding.length_R.tolist() == [len(turn) for turn in expected]
    for row, turn in zip(folded_RW.tolist(), expected, strict=True):
        assert row == [*turn, *[PAD] * (folded_RW.shape[1] - len(turn))]
    assert [folded_RW[row, folding.length_R[row] - 1] for row in folding.current_B] == [EOS] * len(sources)
    values_RWD = torch.stack((folded_RW, -folded_RW), dim=2) + 100.0
    unfolded = folding.unfold(values_RWD, ids_BS.shape)
    assert torch.equal(
        unfolded, torch.stack((ids_BS, -ids_BS), dim=2) * mask_BS[:, :, None] + 100.0 * mask_BS[..., None]
    )


@given(SOURCES, st.sampled_from([SEPARATOR, EOS, 7]))
def test_what_stands_in_the_padding_is_not_looked_at(sources: list[list[int]], garbage: int) -> None:
    for found, expected in zip(fold(*padded(sources, garbage)), fold(*padded(sources)), strict=True):
        assert torch.equal(found, expected)


def fold(ids_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, Tensor]:
    turn_BS = number_turns(ids_BS, mask_BS, SEPARATOR)
    return turn_BS * mask_BS, Folding.of(turn_BS, mask_BS).fold(ids_BS, PAD)


@pytest.mark.parametrize("separator", [None, 9])
def test_without_a_separator_there_is_one_turn(separator: int | None) -> None:
    ids_BS, mask_BS = padded([[5, 6], [SEPARATOR, 7, 5]])
    turn_BS = number_turns(ids_BS, mask_BS, separator)
    assert not turn_BS.any()
    assert torch.equal(Folding.of(turn_BS, mask_BS).fold(ids_BS, PAD), ids_BS)
