"""Recurrent cells: whole sequences by PyTorch's kernels, single steps for loops that attention interrupts.

A single-step cell splits its work in two: :meth:`Cell.project`, which is everything that depends on the input
alone and is done for all positions at once outside the time loop, and :meth:`Cell.forward`, the recurrence.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.models.dropout import Dropout
from nmt.models.layers import Layers

CellType = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
CellState = tuple[Tensor, ...]
"""Each part [N, D]; the first is the hidden state, which is also the output."""


class Cell(nn.Module, ABC):
    """One step of a recurrence. ``num_states`` is 2 for an LSTM (hidden, cell) and 1 for the others.

    Args:
        input_sizes: widths of the inputs. Several have a weight each and are projected one by one, so that those
            that are known beforehand (words) stay outside the loop, and the others (contexts) inside.
        hidden_size: width of the state.
    """

    num_states = 1
    num_gates = 1

    def __init__(self, input_sizes: Sequence[int], hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        bound = hidden_size**-0.5
        rows = self.num_gates * hidden_size
        self.input_weights = nn.ParameterList(torch.empty(rows, size).uniform_(-bound, bound) for size in input_sizes)
        self.hidden_weight = nn.Parameter(torch.empty(rows, hidden_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(rows))

    def project(self, x: Tensor, part: int = 0) -> Tensor:
        """The share of one of the inputs in the gates. [..., gates · hidden_size]"""
        return F.linear(x, self.input_weights[part])

    @abstractmethod
    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        """The next state from the projected input and the present one."""


class LstmCell(Cell):
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    i, f, o = σ(U x + W h + b), C~ = tanh(U x + W h + b), C_t = f C_{t-1} + i C~, h_t = o tanh(C_t).
    """

    num_states, num_gates = 2, 4

    def __init__(self, input_sizes: Sequence[int], hidden_size: int) -> None:
        super().__init__(input_sizes, hidden_size)
        with torch.no_grad():  # a forget gate that starts open (Jozefowicz et al. 2015)
            self.bias[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        hidden, cell = state
        gates_NG = gates_NG + F.linear(hidden, self.hidden_weight, self.bias)
        input_gate, forget_gate, output_gate = gates_NG[:, : 3 * self.hidden_size].sigmoid().chunk(3, dim=1)
        cell = forget_gate * cell + input_gate * gates_NG[:, 3 * self.hidden_size :].tanh()
        return output_gate * cell.tanh(), cell


class GruCell(Cell):
    """Cho et al. 2014, in the form that cuDNN and torch compute (the reset gate acts on W h + b).

    r, z = σ(U x + W h + b), h~ = tanh(U x + r (W h + b)), h_t = (1 - z) h_{t-1} + z h~.
    """

    num_gates = 3

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        (hidden,) = state
        size = self.hidden_size
        recurrent = F.linear(hidden, self.hidden_weight, self.bias)
        reset, update = (gates_NG[:, : 2 * size] + recurrent[:, : 2 * size]).sigmoid().chunk(2, dim=1)
        candidate = (gates_NG[:, 2 * size :] + reset * recurrent[:, 2 * size :]).tanh()
        return (hidden + update * (candidate - hidden),)


class TanhCell(Cell):
    """Elman 1990: h_t = tanh(U x_t + W h_{t-1} + b)."""

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        return ((gates_NG + F.linear(state[0], self.hidden_weight, self.bias)).tanh(),)


class ReluCell(Cell):
    """Elman's network with a rectifier: h_t = max(0, U x_t + W h_{t-1} + b)."""

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        return ((gates_NG + F.linear(state[0], self.hidden_weight, self.bias)).relu(),)


CELLS: dict[str, type[Cell]] = {"lstm": LstmCell, "gru": GruCell, "rnn_tanh": TanhCell, "rnn_relu": ReluCell}

KERNELS: dict[str, Callable[..., nn.RNNBase]] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": partial(nn.RNN, nonlinearity="tanh"),
    "rnn_relu": partial(nn.RNN, nonlinearity="relu"),
}


class CellStack(nn.Module):
    """Cells one above another, with dropout between them.

    The state is a tuple of parts [N, L, D], like that of :class:`Recurrence`.
    """

    def __init__(
        self, kind: CellType, input_sizes: Sequence[int], hidden_size: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = [tuple(input_sizes)] + [(hidden_size,)] * (num_layers - 1)
        self.cells: Layers[Cell] = Layers(CELLS[kind](size, hidden_size) for size in sizes)
        self.num_states = CELLS[kind].num_states
        self.dropout = Dropout(dropout)

    def project(self, x: Tensor, part: int = 0) -> Tensor:
        """The share of one of the inputs in the gates of the lowest cell."""
        lowest = next(iter(self.cells))
        return lowest.project(x, part)

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        """One step: projected input of the lowest cell, and the next state of all layers."""
        layers: list[CellState] = []
        for layer, cell in enumerate(self.cells):
            if layer:
                gates_NG = cell.project(self.dropout(layers[-1][0]))
            layers.append(cell(gates_NG, tuple(part[:, layer] for part in state)))
        return tuple(torch.stack(parts, dim=1) for parts in zip(*layers, strict=True))


class Recurrence(nn.Module):
    """A stack of recurrent layers over whole sequences, by PyTorch's kernels (cuDNN on a GPU).

    The state is a tuple of parts [B, L, D]; D holds both directions of a bidirectional stack, forward first.
    """

    def __init__(
        self,
        kind: CellType,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        # One kernel a layer rather than one for all, so that the dropout between layers is the cheap one.
        self.layers: Layers[nn.RNNBase] = Layers(
            KERNELS[kind](size, hidden_size, batch_first=True, bidirectional=bidirectional) for size in sizes
        )
        self.num_states = CELLS[kind].num_states
        self.dropout = Dropout(dropout)
        if kind == "lstm":
            with torch.no_grad():
                for name, parameter in self.named_parameters():
                    if "bias_ih" in name:  # an open forget gate, as in LstmCell
                        parameter[hidden_size : 2 * hidden_size] = 1.0

    def forward(
        self, x_BTD: Tensor, state: CellState | None = None, length_B: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        """The top layer's outputs [B, T, D], and the state after the last position.

        With ``length_B`` each sentence ends at its own length: outputs beyond are zero, and a backward direction
        starts there. Without, all have the length T, or what comes after a sentence's end is never looked at.
        """
        finals: list[list[Tensor]] = []
        for index, layer in enumerate(self.layers):
            if index:
                x_BTD = self.dropout(x_BTD)
            initial: Any = None
            if state is not None:
                given = [part[:, index].contiguous()[None].to(x_BTD.dtype) for part in state]
                initial = tuple(given) if self.num_states == 2 else given[0]
            if length_B is None:
                x_BTD, final = layer(x_BTD, initial)
            else:
                packed = pack_padded_sequence(x_BTD, length_B.cpu(), batch_first=True, enforce_sorted=False)
                packed, final = layer(packed, initial)
                x_BTD, _ = pad_packed_sequence(packed, batch_first=True, total_length=x_BTD.shape[1])
            parts = final if self.num_states == 2 else (final,)
            # [directions, B, hidden] -> [B, directions · hidden]
            finals.append([part.transpose(0, 1).flatten(1) for part in parts])
        return x_BTD, tuple(torch.stack(parts, dim=1) for parts in zip(*finals, strict=True))
