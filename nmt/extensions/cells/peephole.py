"""The LSTM with peepholes, and the depth-gated LSTM."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.core.device import product_dtype
from nmt.models.cells.base import CellState, GatedOptions, Parameters
from nmt.models.cells.gated import LstmCell

CLOSED = -2.0  # the bias of a gate that starts closed, as those of highway networks (Srivastava et al. 2015)


class PeepholeLstmCell(LstmCell):
    """LSTM with peepholes (Gers & Schmidhuber 2000): the gates see the cell, each unit its own.

    i, f = σ(U x + W h + p C_{t-1} + b), C~ = tanh(U x + W h + b), C_t = f C_{t-1} + i C~,
    o = σ(U x + W h + p C_t + b), h_t = o tanh(C_t). With ``full_matrix`` each gate has a matrix P [D, D] in place of
    the vector p.
    """

    class Options(GatedOptions):
        full_matrix: bool = Field(False, description="peepholes are matrices: each gate reads the cells of all units")

    kernel = None
    gate_names = ()

    def __init__(self, options: Any, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__(options, input_sizes, hidden_size, layer)
        self.peephole = self.drawn(3 * hidden_size, *([hidden_size] if options.full_matrix else []))

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        hidden, cell = state
        return self._remember(self.add_recurrent(gates_NG, hidden), cell)

    def _remember(self, gates_NG: Tensor, cell: Tensor, linked: Tensor | None = None) -> CellState:
        """The next state from the gates before their peepholes; ``linked`` is added to the cell."""
        size = self.hidden_size
        writing, output_gate, candidate = torch.split(gates_NG, [2 * size, size, size], dim=1)
        input_gate, forget_gate = self._peep(writing, cell, slice(0, 2 * size)).sigmoid().chunk(2, dim=1)
        cell = torch.addcmul(forget_gate * cell, input_gate, candidate.tanh())
        if linked is not None:
            cell = cell + linked
        output_gate = self._peep(output_gate, cell, slice(2 * size, 3 * size)).sigmoid()
        return output_gate * cell.tanh(), cell

    def _peep(self, gates_NG: Tensor, cell: Tensor, rows: slice) -> Tensor:
        """Gates with what their peepholes, these rows of all, add."""
        peephole = self.peephole[rows]
        if self.options.full_matrix:
            return torch.addmm(gates_NG, cell.to(product_dtype(peephole)), peephole.t()).to(cell.dtype)
        gates_NgD = torch.unflatten(gates_NG, 1, (-1, self.hidden_size))
        return torch.addcmul(gates_NgD, cell[:, None], peephole.view(-1, self.hidden_size)).flatten(1)


class DepthGatedLstmCell(PeepholeLstmCell):
    """Depth-gated LSTM (Yao et al. 2015): a gate d links the cell of the layer below to that of this one.

    The LSTM with peepholes, and from the second layer on C^l_t = d C^{l-1}_t + f C^l_{t-1} + i C~ with
    d = σ(U x + v C^l_{t-1} + w C^{l-1}_t + b), which doesn't see the hidden state.
    """

    reads_below = True

    @classmethod
    def initialise(cls, options: Any, inputs: Parameters, hidden: nn.Parameter, biases: Parameters) -> None:
        super().initialise(options, inputs, hidden, biases)
        with torch.no_grad():  # starts closed: d + f above 1 would let the cell grow from step to step
            biases[0][cls.num_gates * hidden.shape[1] :] = CLOSED

    def __init__(self, options: Any, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__(options, input_sizes, hidden_size, layer)
        if layer:
            self.depth_peephole, self.depth_below = self.drawn(hidden_size), self.drawn(hidden_size)

    @property
    def num_input_gates(self) -> int:
        return self.num_gates + (1 if self.layer else 0)

    def forward(self, gates_NG: Tensor, state: CellState, below: CellState | None = None) -> CellState:
        if below is None:
            return super().forward(gates_NG, state)
        hidden, cell = state
        _, below_ND = below
        size = self.hidden_size
        gates, depth = torch.split(gates_NG, [4 * size, size], dim=1)
        depth = torch.addcmul(depth.to(cell.dtype), cell, self.depth_peephole)
        depth = torch.addcmul(depth, below_ND, self.depth_below).sigmoid()
        return self._remember(self.add_recurrent(gates, hidden), cell, linked=depth * below_ND)
