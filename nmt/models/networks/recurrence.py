"""Stacks of cells: step by step for loops that attention interrupts, and over whole sequences.

A state is a tuple of parts [N, L, D], whichever of the two made it.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.models.cells import CELLS, CellField
from nmt.models.cells.base import Cell, CellState
from nmt.models.layers import Dropout, Layers, at_end, length_mask, reverse_within
from nmt.models.loops import time_loop
from nmt.models.networks.padded import is_padded_faster, run_padded
from nmt.recipe.options import FREE, Options


class StackOptions(Options):
    """Options of cells one above another."""

    cell: CellField = Field({"type": "lstm"}, description="name of a cell, or {type: NAME} and its options")
    hidden_size: int = Field(256, ge=1, le=100_000, description="width of the state, in an encoder of each direction")
    num_layers: int = Field(1, ge=1, le=1000, description="cells one above another")
    dropout: Annotated[float, FREE] = Field(
        0.0, ge=0, lt=1, description="on embeddings, between layers, and on what the encoder or decoder gives"
    )
    residual: bool = Field(False, description="from the second layer on, add what a layer reads to its output")


class CellStack(nn.Module):
    """Cells one above another, for one step at a time.

    ``input_sizes``: widths of the inputs of the lowest cell.
    """

    reads_below = False

    def __init__(self, options: StackOptions, input_sizes: Sequence[int]) -> None:
        super().__init__()
        self.kind, cell_options = CELLS.choose(options.cell, "cell")
        kind, self.hidden_size = self.kind, options.hidden_size
        sizes = [tuple(input_sizes)] + [(self.hidden_size,)] * (options.num_layers - 1)
        self.cells: Layers[Cell] = Layers(
            kind(cell_options, size, self.hidden_size, layer) for layer, size in enumerate(sizes)
        )
        self.num_states = kind.num_states
        self.residual = options.residual
        self.dropout = Dropout(options.dropout)

    def zeros(self, like: Tensor) -> CellState:
        """A state of zeros, for as many rows as an input has and for its type."""
        shape, dtype = (len(like), len(self.cells), self.hidden_size), self.kind.state_dtype(like.dtype)
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
        """The top layer's hidden state, to which residual connections add those of all layers below. [..., D]"""
        return state[0].sum(-2) if self.residual else state[0][..., -1, :]


class LoopLayer(nn.Module):
    """One layer over whole sequences, in one or both directions, for what PyTorch has no kernel of.

    Everything but the recurrence is computed for all steps at once. A backward direction reads each sentence from its
    own end, so that its first step is the last word, whatever the padding.

    Args:
        cells: one a direction.
        truncation: length of the segments that gradients stay within (Williams & Peng 1990); None for no limit.
    """

    def __init__(self, cells: Sequence[Cell | CellStack], truncation: int | None = None) -> None:
        super().__init__()
        self.cells: Layers[Cell | CellStack] = Layers(cells)
        self.truncation = truncation

    def forward(
        self, x_BTD: Tensor, state: CellState | None, length_B: Tensor | None, below: list[CellState] | None
    ) -> tuple[Tensor, CellState, list[CellState]]:
        """Outputs [B, T, D], zero in the padding; the state after the last position, directions side by side; and for
        each direction the states at all positions (each part [T, B, …]), in the order of reading.

        Args:
            state: the first state, directions side by side; zeros where None.
            length_B: of each sentence; T where None.
            below: the states of the layer below at all positions.
        """
        outputs, finals, states = [], [], []
        for way, cell in enumerate(self.cells):
            read_TBD = (_turned(x_BTD, length_B) if way else x_BTD).transpose(0, 1)
            first = None if state is None else tuple(part.chunk(len(self.cells), dim=1)[way] for part in state)
            latest = first or cell.zeros(x_BTD)
            steps = []
            gates_TBG = cell.project(read_TBD)
            with time_loop(len(gates_TBG)):
                for position, gates_BG in enumerate(gates_TBG.unbind(0)):
                    extra = (below and tuple(part[position] for part in below[way]),) if cell.reads_below else ()
                    if self.truncation and position and position % self.truncation == 0:
                        latest = tuple(part.detach() for part in latest)
                    latest = cell(gates_BG, latest, *extra)
                    steps.append(latest)
            parts = tuple(torch.stack(parts) for parts in zip(*steps, strict=True))
            states.append(parts)
            finals.append([at_end(part_TB, length_B) for part_TB in parts])
            output_BTD = cell.output(parts).transpose(0, 1).to(x_BTD.dtype)
            outputs.append(_turned(output_BTD, length_B) if way else output_BTD)
        output_BTD = torch.cat(outputs, dim=2)
        if length_B is not None:
            output_BTD = output_BTD.masked_fill(~length_mask(length_B, x_BTD.shape[1])[:, :, None], 0)
        return output_BTD, tuple(torch.cat(ways, dim=-1) for ways in zip(*finals, strict=True)), states


def _turned(x_BTD: Tensor, length_B: Tensor | None) -> Tensor:
    return x_BTD.flip(1) if length_B is None else reverse_within(x_BTD, length_B)


class Recurrence(nn.Module):
    """A stack of recurrent layers over whole sequences, by PyTorch's kernels (cuDNN on a GPU) where it has them.

    The kernels can't truncate gradients: with ``truncation`` every layer is a :class:`LoopLayer`. D of its states holds
    both directions of a bidirectional stack, forward first. Residual connections are those of Wu et al. 2016.
    """

    def __init__(
        self, options: StackOptions, input_size: int, bidirectional: bool = False, truncation: int | None = None
    ) -> None:
        super().__init__()
        self.truncation = truncation
        self.kind, self.options = CELLS.choose(options.cell, "cell")
        self.directions = 2 if bidirectional else 1
        self.output_size = options.hidden_size * self.directions
        sizes = [input_size] + [self.output_size] * (options.num_layers - 1)
        # One kernel a layer rather than one for all, so that the dropout between layers is the cheap one.
        self.layers: Layers[nn.Module] = Layers(
            self._layer(size, options.hidden_size, layer) for layer, size in enumerate(sizes)
        )
        self.num_states = self.kind.num_states
        self.residual = options.residual
        self.dropout = Dropout(options.dropout)

    def _layer(self, input_size: int, hidden_size: int, layer: int) -> nn.Module:
        if self.kind.kernel is None or self.truncation:
            cells = [self.kind(self.options, (input_size,), hidden_size, layer) for _ in range(self.directions)]
            return LoopLayer(cells, self.truncation)
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
                assert isinstance(layer, nn.RNNBase)
                output_BTD, final = self.run_kernel(layer, read_BTD, start, length_B)
            finals.append(final)
            x_BTD = x_BTD + output_BTD if index and self.residual else output_BTD
        return x_BTD, tuple(torch.stack(parts, dim=1) for parts in zip(*finals, strict=True))

    def run_kernel(
        self, kernel: nn.RNNBase, x_BTD: Tensor, state: CellState | None, length_B: Tensor | None
    ) -> tuple[Tensor, CellState]:
        """Computes :meth:`LoopLayer.forward`; the state of a kernel is [directions, B, hidden]."""
        start: Any = None
        if state is not None:
            apart = [torch.unflatten(part.to(x_BTD.dtype), 1, (self.directions, -1)) for part in state]
            given = tuple(part.transpose(0, 1).contiguous() for part in apart)
            start = given if self.num_states == 2 else given[0]
        if length_B is None:
            output_BTD, final = kernel(x_BTD, start)
        elif is_padded_faster(kernel, x_BTD):
            output_BTD, final = run_padded(kernel, x_BTD, start, length_B)
        else:
            packed = pack_padded_sequence(x_BTD, length_B.cpu(), batch_first=True, enforce_sorted=False)
            packed, final = kernel(packed, start)
            output_BTD, _ = pad_packed_sequence(packed, batch_first=True, total_length=x_BTD.shape[1])
        parts = final if isinstance(final, tuple) else (final,)
        return output_BTD, tuple(part.transpose(0, 1).flatten(1) for part in parts)


class LearnedState(nn.Module):
    """A first state that is learned: h_0, and C_0 for an LSTM, of each layer are parameters."""

    def __init__(self, options: StackOptions, size: int) -> None:
        super().__init__()
        self.shape = (options.num_layers, size)
        num_states = CELLS.choose(options.cell, "cell")[0].num_states
        self.parts = nn.ParameterList(torch.zeros(options.num_layers * size) for _ in range(num_states))

    def forward(self, num_rows: int) -> CellState:
        """The state of each of some rows, all the same."""
        return tuple(part.view(self.shape).expand(num_rows, *self.shape) for part in self.parts)


def initialised_weights(model: nn.Module) -> Iterator[nn.Parameter]:
    """The recurrent weights of a model whose start values an option of their cell decides."""
    for module in model.modules():
        if isinstance(module, (Cell, Recurrence)) and getattr(module.options, "init", "uniform") != "uniform":
            yield from [module.hidden_weight] if isinstance(module, Cell) else module.kernel_weights()
