"""Masks and orders that follow from lengths."""

import torch
from torch import Tensor


def length_mask(length_B: Tensor, longest: int) -> Tensor:
    """True at positions before each length. [B, longest]"""
    return torch.arange(longest, device=length_B.device) < length_B[:, None]


def reverse_within(x_BSD: Tensor, length_B: Tensor) -> Tensor:
    """Each sequence in reverse order up to its own length; padding stays where it is."""
    position_S = torch.arange(x_BSD.shape[1], device=x_BSD.device)
    mirrored_BS = length_B[:, None] - 1 - position_S
    index_BS = torch.where(mirrored_BS >= 0, mirrored_BS, position_S)
    return x_BSD.gather(1, index_BS[:, :, None].expand_as(x_BSD))
