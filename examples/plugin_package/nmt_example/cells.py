"""A cell."""

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.models.cells import Cell, CellState


class MguCell(Cell):
    """The minimal gated unit (Zhou et al. 2016), with the gate applied to W h.

    f = σ(U x + W h + b), h~ = tanh(U x + f (W h) + b), h_t = (1 - f) h_{t-1} + f h~.
    """

    num_gates = 2

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        (hidden_ND,) = state
        forget_ND, candidate_ND = gates_NG.chunk(2, dim=1)
        own_forget_ND, own_candidate_ND = F.linear(hidden_ND, self.hidden_weight).chunk(2, dim=1)
        forget_ND = (forget_ND + own_forget_ND).sigmoid()
        candidate_ND = (candidate_ND + forget_ND * own_candidate_ND).tanh()
        return (torch.lerp(hidden_ND, candidate_ND.to(hidden_ND.dtype), forget_ND.to(hidden_ND.dtype)),)
