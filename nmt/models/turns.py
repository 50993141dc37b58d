"""The turns of a dialogue within one sequence: which position belongs to which, and the sequence folded by turn.

A turn ends with its separator, the last one with EOS, so that no turn is ever empty. Turns are numbered back from the
current one, which is 0: a dialogue has as many as it has, and the current turn is in the same place in all of them.

R turns of all dialogues of a batch, W words of the longest turn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.models.masks import length_mask


def number_turns(source_BS: Tensor, mask_BS: Tensor, separator: int | None) -> Tensor:
    """The turn of each position, 0 for the current one; 0 in the padding, too. [B, S]

    Args:
        source_BS: ids.
        mask_BS: True at real positions.
        separator: id that ends a turn; None where there is but one.
    """
    if separator is None:
        return torch.zeros_like(source_BS)
    ends_BS = (source_BS == separator) & mask_BS
    return ends_BS.flip(1).cumsum(1).flip(1)


@dataclass(frozen=True)
class Folding:
    """Where the positions of sequences go when each turn becomes a row of its own.

    Rows follow the dialogues and in each of them the order of time, so that real positions keep their order.
    """

    flat_P: Tensor
    """The P real positions, as indices into B·S."""
    folded_P: Tensor
    """The same, as indices into R·W."""
    length_R: Tensor
    """Positions of each turn, its separator or EOS counted."""
    current_B: Tensor
    """The row of each dialogue's current turn."""

    @classmethod
    def of(cls, turn_BS: Tensor, mask_BS: Tensor) -> "Folding":
        """Fold sequences by the numbers of their turns."""
        first_B1 = torch.ones_like(mask_BS[:, :1])
        starts_BS = torch.cat((first_B1, turn_BS[:, 1:] != turn_BS[:, :-1]), dim=1) & mask_BS
        flat_P = mask_BS.flatten().nonzero().squeeze(1)
        row_P = starts_BS.flatten()[flat_P].cumsum(0) - 1
        length_R = row_P.bincount()
        real_RW = length_mask(length_R, int(length_R.max()))
        current_B = starts_BS.sum(1).cumsum(0) - 1
        return cls(flat_P, real_RW.flatten().nonzero().squeeze(1), length_R, current_B)

    def fold(self, ids_BS: Tensor, padding: int) -> Tensor:
        """Ids, a turn a row. [R, W]"""
        folded_RW = ids_BS.new_full((len(self.length_R), int(self.length_R.max())), padding)
        folded_RW.view(-1)[self.folded_P] = ids_BS.flatten()[self.flat_P]
        return folded_RW

    def unfold(self, values_RWD: Tensor, shape: torch.Size) -> Tensor:
        """Values of the words back in their sequences, zeros in the padding. [*shape, D]"""
        values_PD = values_RWD.flatten(0, 1).index_select(0, self.folded_P)
        flat = values_PD.new_zeros(shape.numel(), values_PD.shape[1]).index_copy(0, self.flat_P, values_PD)
        return flat.view(*shape, -1)
