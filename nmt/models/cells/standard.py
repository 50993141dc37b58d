"""The cells of Elman, without gates, the LSTM and its relatives, and the GRU."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmt.models.cells.base import Cell, CellState, InitialisedOptions, Parameters
from nmt.models.loops import step_product
from nmt.recipe.options import Options

OPEN = 1.0  # the bias of a forget gate, which starts open (Jozefowicz et al. 2015)


class TanhCell(Cell):
    """Elman 1990: h_t = tanh(U x_t + W h_{t-1} + b)."""

    Options: ClassVar[type[Options]] = InitialisedOptions
    kernel = partial(nn.RNN, nonlinearity="tanh")

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        return (self.add_recurrent(gates_NG, state[0]).tanh(),)


class ReluCell(Cell):
    """Elman's network with a rectifier: h_t = max(0, U x_t + W h_{t-1} + b)."""

    Options = InitialisedOptions
    kernel = partial(nn.RNN, nonlinearity="relu")

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        return (self.add_recurrent(gates_NG, state[0]).relu(),)


class LstmCell(Cell):
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    i, f, o = σ(U x + W h + b), C~ = tanh(U x + W h + b), C_t = f C_{t-1} + i C~, h_t = o tanh(C_t).
    """

    kernel: ClassVar[Callable[..., nn.RNNBase] | None] = nn.LSTM
    num_states, num_gates = 2, 4
    forget_gate = 1  # its place among the gates
    gate_names: ClassVar[tuple[str, ...]] = ("i", "f", "o", "C~")

    @classmethod
    def initialise(cls, options: Any, inputs: Parameters, hidden: nn.Parameter, biases: Parameters) -> None:
        super().initialise(options, inputs, hidden, biases)
        size = hidden.shape[1]
        with torch.no_grad():
            biases[0][cls.forget_gate * size : (cls.forget_gate + 1) * size] = OPEN

    def gates(self, gates_NG: Tensor, state: CellState) -> tuple[Tensor, ...]:
        sizes = [(self.num_gates - 1) * self.hidden_size, self.hidden_size]
        gates, candidate = torch.split(self.add_recurrent(gates_NG, state[0]), sizes, dim=1)
        return *gates.sigmoid().chunk(self.num_gates - 1, dim=1), candidate.tanh()

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        input_gate, forget_gate, output_gate, candidate = self.gates(gates_NG, state)
        cell = torch.addcmul(forget_gate * state[1], input_gate, candidate)
        return output_gate * cell.tanh(), cell


class CoupledLstmCell(LstmCell):
    """LSTM with coupled gates (Greff et al. 2017, CIFG): what is forgotten is what is written.

    f, o = σ(U x + W h + b), C~ = tanh(U x + W h + b), C_t = f C_{t-1} + (1 - f) C~, h_t = o tanh(C_t).
    """

    kernel = None
    num_gates = 3
    forget_gate = 0
    gate_names = ("f", "o", "C~")

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        forget_gate, output_gate, candidate = self.gates(gates_NG, state)
        cell = torch.lerp(candidate, state[1], forget_gate)
        return output_gate * cell.tanh(), cell


class GruCell(Cell):
    """Cho et al. 2014, in the form that cuDNN and torch compute: the reset gate acts on W h + b.

    r, z = σ(U x + W h + b), h~ = tanh(U x + r (W h + b)), h_t = (1 - z) h_{t-1} + z h~.
    """

    kernel: ClassVar[Callable[..., nn.RNNBase] | None] = nn.GRU
    num_gates = 3
    gate_names = ("r", "z", "h~")

    def project(self, x: Tensor, part: int = 0) -> Tensor:
        return step_product(x, self.input_weights[part])

    def gates(self, gates_NG: Tensor, state: CellState) -> tuple[Tensor, ...]:
        (hidden,) = state
        sizes = [2 * self.hidden_size, self.hidden_size]
        from_input, candidate = torch.split(gates_NG.to(hidden.dtype), sizes, dim=1)
        recurrent = step_product(hidden, self.hidden_weight, added=self.bias).to(hidden.dtype)
        from_hidden, recurrent_candidate = torch.split(recurrent, sizes, dim=1)
        reset, update = (from_input + from_hidden).sigmoid().chunk(2, dim=1)
        return reset, update, torch.addcmul(candidate, reset, recurrent_candidate).tanh()

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        _, update, candidate = self.gates(gates_NG, state)
        return (torch.lerp(state[0], candidate, update),)


class GruResetBeforeCell(GruCell):
    """The GRU as Cho et al. 2014 define it: the reset gate acts on the state, before the matrix product.

    r, z = σ(U x + W h + b), h~ = tanh(U x + W (r h) + b), h_t = (1 - z) h_{t-1} + z h~. The candidate's matrix
    product has to wait for r, so that a step has two products, and PyTorch has no kernel of it.
    """

    kernel = None
    project = Cell.project  # with the bias

    def gates(self, gates_NG: Tensor, state: CellState) -> tuple[Tensor, ...]:
        (hidden,) = state
        sizes = [2 * self.hidden_size, self.hidden_size]
        gates, candidate = torch.split(gates_NG, sizes, dim=1)
        gate_weight, candidate_weight = torch.split(self.hidden_weight, sizes)
        gates = torch.addmm(gates, hidden, gate_weight.t()).to(hidden.dtype)
        reset, update = gates.sigmoid().chunk(2, dim=1)
        return reset, update, torch.addmm(candidate, reset * hidden, candidate_weight.t()).to(hidden.dtype).tanh()
