"""The contract of a recurrent cell: one step of a recurrence, its weights and their first values."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from nmt.models.loops import step_product
from nmt.recipe.options import Options

CellState = tuple[Tensor, ...]
"""Each part [N, D]: the hidden state, which is also the output, then for an LSTM the cell state, then what else a cell
keeps."""
Parameters = Sequence[nn.Parameter]


class InitialisedOptions(Options):
    """Options of a cell whose recurrent weights can start in several ways."""

    init: Literal["uniform", "orthogonal", "identity", "spectral"] = Field(
        "uniform",
        description="recurrent weights of each gate: U(±1/√D); orthogonal (Saxe et al. 2014); identity, with biases "
        "of zero (Le et al. 2015; cells without gates only); U scaled to spectral_radius",
    )
    spectral_radius: float = Field(0.95, gt=0, description="largest |eigenvalue| with init: spectral")


class GatedOptions(InitialisedOptions):
    """Options of a cell with gates."""

    init: Literal["uniform", "orthogonal", "spectral"] = Field(
        "uniform", description="recurrent weights of each gate: U(±1/√D); orthogonal; U scaled to spectral_radius"
    )


class Cell(nn.Module, ABC):
    """One step of a recurrence.

    A step is split in two: :meth:`project`, which depends on the input alone and is computed for all positions at once
    outside the time loop, and :meth:`forward`, which has the one matrix product of a step. A cell outside nmt is a
    subclass like this one::

        class IndependentCell(Cell):
            # h_t = tanh(U x_t + w h_{t-1} + b), with a weight w for each unit in place of W
            num_gates = 1

            def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
                (hidden_ND,) = state
                return ((gates_NG + self.hidden_weight.diagonal() * hidden_ND).tanh().to(hidden_ND.dtype),)

    - With ``num_gates`` the weights exist: U in ``input_weights`` (one [G, input size] for each input), W in
      ``hidden_weight`` [G, D] and b in ``bias`` [G], where G is ``num_gates`` · D, the gates one after another. They
      are drawn from U(±1/√D), and b is zero; :meth:`initialise` changes that. A cell may add parameters of its own.
    - ``gates_NG`` is the sum of the projected inputs, U x + b, in the precision of the computation; the state keeps
      the precision of :meth:`state_dtype`, and what :meth:`forward` returns must have it.
      :meth:`add_recurrent` gives U x + W h + b in that precision.
    - A state has ``num_states`` parts [N, D], which start at zero or at what a decoder's bridge gives, and possibly
      further ones that only the cell knows, such as a count of steps; they are absent in a first state.

    Args:
        options: of ``Options``, checked.
        input_sizes: widths of the inputs. Several have a weight each and are projected one by one, so that those
            that are known beforehand (words) stay outside the loop, and the others (contexts) inside.
        hidden_size: D, width of the state.
        layer: number of the layer in its stack, the lowest 0.

    Raises:
        ValueError: the options don't fit the sizes.
    """

    Options: ClassVar[type[Options]] = GatedOptions
    kernel: ClassVar[Callable[..., nn.RNNBase] | None] = None
    """PyTorch's module that computes the cell over whole sequences, where there is one: called with ``input_size``,
    ``hidden_size``, ``batch_first`` and ``bidirectional``."""
    num_states: ClassVar[int] = 1  # 2 for an LSTM (hidden, cell) and 1 for the others
    num_gates: ClassVar[int] = 1
    gate_names: ClassVar[tuple[str, ...]] = ()
    """Names of what :meth:`gates` returns, as in the equations of the class; without any, no page shows them."""
    averageable: ClassVar[bool] = True  # whether the weighted mean of states is a state
    reads_below: ClassVar[bool] = False
    """Whether :meth:`forward` takes a third argument: the new state of the layer below, None in the lowest layer."""

    def __init__(self, options: Any, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__()
        self.options, self.hidden_size, self.layer = options, hidden_size, layer
        rows = self.num_input_gates * hidden_size
        self.input_weights = nn.ParameterList(self.drawn(rows, size) for size in input_sizes)
        self.hidden_weight = self.drawn(self.num_gates * hidden_size, hidden_size)
        self.bias = nn.Parameter(torch.zeros(rows))
        self.initialise(options, list(self.input_weights), self.hidden_weight, [self.bias])

    def drawn(self, *shape: int) -> nn.Parameter:
        """A parameter drawn from U(±1/√D)."""
        bound = self.hidden_size**-0.5
        weight = nn.Parameter(torch.empty(shape))
        nn.init.uniform_(weight, -bound, bound)
        return weight

    @property
    def num_input_gates(self) -> int:
        """Gates that see the input; a cell may have further ones that don't see the hidden state."""
        return self.num_gates

    @classmethod
    def initialise(cls, options: Any, inputs: Parameters, hidden: nn.Parameter, biases: Parameters) -> None:
        """Change the first values of weights drawn from U(±1/√D): those of a cell, or those of a kernel."""
        if isinstance(options, InitialisedOptions):
            start_recurrent(hidden, options)
            if options.init == "identity":
                zero(biases)

    @classmethod
    def state_dtype(cls, compute: torch.dtype) -> torch.dtype:
        """Precision of the state where inputs have another: what a cell adds up over many steps would be lost in
        bfloat16. The cells with kernels do as these, which compute their states in the inputs' precision."""
        return compute if cls.kernel is not None else torch.promote_types(compute, torch.float32)

    def zeros(self, like: Tensor) -> CellState:
        """A first state, for as many rows as an input has and for its type."""
        zeros_ND = like.new_zeros(len(like), self.hidden_size, dtype=self.state_dtype(like.dtype))
        return (zeros_ND,) * self.num_states

    def output(self, state: CellState) -> Tensor:
        return state[0]

    def project(self, x: Tensor, part: int = 0) -> Tensor:
        """The share of one of the inputs in the gates; the bias belongs to the first. [..., gates · hidden_size]"""
        return step_product(x, self.input_weights[part], None if part else self.bias)

    def add_recurrent(self, gates_NG: Tensor, hidden_ND: Tensor) -> Tensor:
        """U x + W h + b, in the precision of the state."""
        return step_product(hidden_ND, self.hidden_weight, added=gates_NG).to(hidden_ND.dtype)

    def gates(self, gates_NG: Tensor, state: CellState) -> tuple[Tensor, ...]:
        """The gates and the candidate of a step, each [N, D], from the arguments of :meth:`forward`."""
        return ()

    @abstractmethod
    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        """The next state from the projected inputs, added up, and the present state."""


@torch.no_grad()
def start_recurrent(weight: Tensor, options: InitialisedOptions) -> None:
    """Give the square recurrent matrix of each gate its start values."""
    for block in torch.split(weight, weight.shape[1]):
        if options.init == "orthogonal":
            nn.init.orthogonal_(block)
        elif options.init == "identity":
            nn.init.eye_(block)
        elif options.init == "spectral":
            scale_to_radius_(block, options.spectral_radius)


@torch.no_grad()
def scale_to_radius_(weight: Tensor, radius: float) -> Tensor:
    """Scales a square matrix so that its largest eigenvalue has this absolute value; returns the matrix.

    It is an operation of its own, as those of :mod:`torch.nn.init`, so that it can be left out where weights are loaded
    afterwards: memory that isn't initialised may have no eigenvalues, and LAPACK ends the process then.
    """
    if has_torch_function_unary(weight):
        return handle_torch_function(scale_to_radius_, (weight,), weight, radius)
    return weight.mul_(radius / torch.linalg.eigvals(weight).abs().max())


@torch.no_grad()
def zero(parameters: Parameters) -> None:
    for parameter in parameters:
        parameter.zero_()
