"""Stacks of cells: step by step for loops that attention interrupts, and over whole sequences.

A state is a tuple of parts [N, L, D], whichever of the two made it.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.models.cells import CellChoice, choose_cell
from nmt.models.cells.base import Cell, CellState
from nmt.models.layers import Dropout, Layers, length_mask, reverse_within


class CellStack(nn.Module):
    """Cells one above another, with dropout between them, for one step at a time.

    Args:
        cell: as in a recipe.
        input_sizes: widths of the inputs of the lowest cell.
        hidden_size: width of all states.
        num_layers: L.
        dropout: on what a layer reads from the one below.
        residual: add what a layer reads to its output, from the second on.
    """

    def __init__(
        self,
        cell: CellChoice,
        input_sizes: tuple[int, ...] | list[int],
        hidden_size: int,
        num_layers: int,
        dropout: float,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.kind, options = choose_cell(cell)
        kind, self.hidden_size = self.kind, hidden_size
        sizes = [tuple(input_sizes)] + [(hidden_size,)] * (num_layers - 1)
        self.cells: Layers[Cell] = Layers(kind(options, size, hidden_size, layer) for layer, size in enumerate(sizes))
        self.num_states = kind.num_states
        self.residual = residual
        self.dropout = Dropout(dropout)

    def zeros(self, num_rows: int, like: Tensor) -> CellState:
        """A state of zeros for inputs of the type of ``like``."""
        shape, dtype = (num_rows, len(self.cells), self.hidden_size), self.kind.state_dtype(like.dtype)
        return (like.new_zeros(shape, dtype=dtype),) * self.num_states

    def project(self, x: Tensor, part: int = 0) -> Tensor:
        """The share of one of the inputs in the gates of the lowest cell."""
        lowest = next(iter(self.cells))
        return lowest.project(x, part)

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        """One step: projected input of the lowest cell, and the next state of all layers."""
        layers: list[CellState] = []
        x_ND = None
        for layer, cell in enumerate(self.cells):
            if x_ND is not None:
                gates_NG = cell.project(self.dropout(x_ND))
            below = (layers[-1] if layers else None,) if cell.reads_below else ()
            layers.append(cell(gates_NG, tuple(part[:, layer] for part in state), *below))
            hidden_ND = layers[-1][0]
            x_ND = hidden_ND if x_ND is None or not self.residual else x_ND + hidden_ND
        if len(layers) == 1:
            return tuple(part[:, None] for part in layers[0])
        return tuple(torch.stack(parts, dim=1) for parts in zip(*layers, strict=True))

    def output(self, state: CellState) -> Tensor:
        """What the top layer gives in a state [N, D]: its hidden state, to which residual connections add all below."""
        hidden_NLD = state[0]
        return hidden_NLD.sum(1) if self.residual else hidden_NLD[:, -1]


class LoopLayer(nn.Module):
    """One layer over whole sequences, in one or both directions, for a cell that PyTorch has no kernel of.

    Everything but the recurrence is computed for all steps at once. A backward direction reads each sentence from its
    own end, so that its first step is the last word, whatever the padding.
    """

    def __init__(self, cells: list[Cell]) -> None:
        super().__init__()
        self.cells: Layers[Cell] = Layers(cells)

    def forward(
        self, x_BTD: Tensor, state: CellState | None, length_B: Tensor | None, below: list[CellState] | None
    ) -> tuple[Tensor, CellState, list[CellState]]:
        """Outputs [B, T, D], the state after the last position (each part [B, D], directions side by side), and for
        each direction the states at all positions (each part [T, B, hidden]), in the order of reading.

        Args:
            x_BTD: the layer's input.
            state: the first state, directions side by side; zeros where None.
            length_B: of each sentence; T where None.
            below: the states of the layer below at all positions.
        """
        outputs, finals, states = [], [], []
        for way, cell in enumerate(self.cells):
            start = None if state is None else tuple(part.chunk(len(self.cells), dim=1)[way] for part in state)
            parts = _read(cell, _turned(x_BTD, length_B) if way else x_BTD, start, below[way] if below else None)
            finals.append([_last(part_TBD, length_B) for part_TBD in parts])
            output_BTD = parts[0].transpose(0, 1).to(x_BTD.dtype)
            outputs.append(_turned(output_BTD, length_B) if way else output_BTD)
            states.append(parts)
        if length_B is not None:
            padding_BT1 = ~length_mask(length_B, x_BTD.shape[1])[:, :, None]
            outputs = [output_BTD.masked_fill(padding_BT1, 0) for output_BTD in outputs]
        return torch.cat(outputs, dim=2), tuple(torch.cat(ways, dim=1) for ways in zip(*finals, strict=True)), states


def _read(cell: Cell, x_BTD: Tensor, state: CellState | None, below: CellState | None) -> CellState:
    """The time loop: every part of the state after each position. [T, B, D]"""
    if state is None:
        zeros_BD = x_BTD.new_zeros(len(x_BTD), cell.hidden_size, dtype=cell.state_dtype(x_BTD.dtype))
        state = (zeros_BD,) * cell.num_states
    steps = []
    for position, gates_BG in enumerate(cell.project(x_BTD.transpose(0, 1)).unbind(0)):
        extra = (below and tuple(part[position] for part in below),) if cell.reads_below else ()
        state = cell(gates_BG, state, *extra)
        steps.append(state)
    return tuple(torch.stack(parts) for parts in zip(*steps, strict=True))


def _turned(x_BTD: Tensor, length_B: Tensor | None) -> Tensor:
    return x_BTD.flip(1) if length_B is None else reverse_within(x_BTD, length_B)


def _last(part_TBD: Tensor, length_B: Tensor | None) -> Tensor:
    """What stands at each sentence's last position. [B, D]"""
    if length_B is None:
        return part_TBD[-1]
    return part_TBD[length_B - 1, torch.arange(len(length_B), device=length_B.device)]


class Recurrence(nn.Module):
    """A stack of recurrent layers over whole sequences, by PyTorch's kernels (cuDNN on a GPU) where it has them.

    D of its states holds both directions of a bidirectional stack, forward first.

    Args:
        cell: as in a recipe.
        input_size: width of the input.
        hidden_size: of each direction.
        num_layers: L.
        dropout: on what a layer reads from the one below.
        bidirectional: read in both directions, in every layer.
        residual: add what a layer reads to its output, from the second on (Wu et al. 2016).
    """

    def __init__(
        self,
        cell: CellChoice,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        bidirectional: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.kind, self.options = choose_cell(cell)
        self.directions = 2 if bidirectional else 1
        self.output_size = hidden_size * self.directions
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        # One kernel a layer rather than one for all, so that the dropout between layers is the cheap one.
        self.layers: Layers[nn.Module] = Layers(self._layer(size, hidden_size, i) for i, size in enumerate(sizes))
        self.num_states = self.kind.num_states
        self.residual = residual
        self.dropout = Dropout(dropout)

    def _layer(self, input_size: int, hidden_size: int, layer: int) -> nn.Module:
        if self.kind.kernel is None:
            kind, options, directions = self.kind, self.options, self.directions
            return LoopLayer([kind(options, (input_size,), hidden_size, layer) for _ in range(directions)])
        kernel = self.kind.kernel(input_size, hidden_size, batch_first=True, bidirectional=self.directions == 2)
        for inputs, hidden, *biases in kernel.all_weights:
            self.kind.initialise(self.options, [inputs], hidden, biases)
        return kernel

    def kernel_weights(self) -> list[nn.Parameter]:
        """The recurrent weights of PyTorch's kernels, each direction's."""
        kernels = [layer for layer in self.layers if isinstance(layer, nn.RNNBase)]
        return [hidden for kernel in kernels for _, hidden, *_ in kernel.all_weights]

    def forward(
        self, x_BTD: Tensor, state: CellState | None = None, length_B: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        """The top layer's outputs [B, T, D], and the state after the last position.

        With ``length_B`` each sentence ends at its own length: outputs beyond are zero, and a backward direction
        starts there. Without, all have the length T, or what comes after a sentence's end is never looked at.
        """
        finals: list[CellState] = []
        below: list[CellState] | None = None
        for index, layer in enumerate(self.layers):
            read_BTD = self.dropout(x_BTD) if index else x_BTD
            start = None if state is None else tuple(part[:, index] for part in state)
            if isinstance(layer, LoopLayer):
                output_BTD, final, below = layer(read_BTD, start, length_B, below)
            else:
                output_BTD, final = self._run_kernel(layer, read_BTD, start, length_B)
            finals.append(final)
            x_BTD = x_BTD + output_BTD if index and self.residual else output_BTD
        return x_BTD, tuple(torch.stack(parts, dim=1) for parts in zip(*finals, strict=True))

    def _run_kernel(
        self, kernel: nn.Module, x_BTD: Tensor, state: CellState | None, length_B: Tensor | None
    ) -> tuple[Tensor, CellState]:
        """As :meth:`LoopLayer.forward`; kernels want and give a state's directions apart. [directions, B, hidden]"""
        start: Any = None
        if state is not None:
            apart = [torch.unflatten(part.to(x_BTD.dtype), 1, (self.directions, -1)) for part in state]
            given = tuple(part.transpose(0, 1).contiguous() for part in apart)
            start = given if self.num_states == 2 else given[0]
        if length_B is None:
            output_BTD, final = kernel(x_BTD, start)
        else:
            packed = pack_padded_sequence(x_BTD, length_B.cpu(), batch_first=True, enforce_sorted=False)
            packed, final = kernel(packed, start)
            output_BTD, _ = pad_packed_sequence(packed, batch_first=True, total_length=x_BTD.shape[1])
        parts = final if self.num_states == 2 else (final,)
        return output_BTD, tuple(part.transpose(0, 1).flatten(1) for part in parts)


class LearnedState(nn.Module):
    """A first state that is learned: h_0, and C_0 for an LSTM, of each layer are parameters."""

    def __init__(self, cell: CellChoice, num_layers: int, size: int) -> None:
        super().__init__()
        self.shape = (num_layers, size)
        num_states = choose_cell(cell)[0].num_states
        self.parts = nn.ParameterList(torch.zeros(num_layers * size) for _ in range(num_states))

    def forward(self, num_rows: int) -> CellState:
        """The state of each of some rows, all the same."""
        return tuple(part.view(self.shape).expand(num_rows, *self.shape) for part in self.parts)


def initialised_weights(model: nn.Module) -> Iterator[nn.Parameter]:
    """The recurrent weights of a model whose start values an option of their cell decides."""
    for module in model.modules():
        if isinstance(module, (Cell, Recurrence)) and getattr(module.options, "init", "uniform") != "uniform":
            yield from [module.hidden_weight] if isinstance(module, Cell) else module.kernel_weights()
