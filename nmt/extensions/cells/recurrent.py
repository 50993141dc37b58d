"""Elman's network with delay taps, leaky units, the clockwork RNN, the echo state network, LSTMs with peepholes."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.core.device import product_dtype
from nmt.models.cells.base import Cell, CellState, GatedOptions, InitialisedOptions, Parameters, scale_to_radius_, zero
from nmt.models.cells.standard import LstmCell, TanhCell
from nmt.models.layers import inverse_softplus
from nmt.models.loops import step_product
from nmt.recipe.options import Options

CLOSED = -2.0  # the bias of a gate that starts closed, as those of highway networks (Srivastava et al. 2015)


class TimeSkipCell(Cell):
    """Elman's network with skip connections through time (Lin et al. 1996): a step reads delayed states, too.

    h_t = tanh(U x_t + W h_{t-1} + Σ_k V_k h_{t-k} + b) with a matrix V_k for each delay k. A gradient reaches a word
    that lies n steps back over n / k matrix products rather than n. The state has a second part, the states before
    h_{t-1} side by side [N, (max k - 1) D]; a state without it is at the beginning, where they are zero.
    """

    class Options(InitialisedOptions):
        delays: list[Annotated[int, Field(ge=2, le=1000)]] = Field(
            [4],
            min_length=1,
            max_length=100,
            description="the k of the states h_{t-k} that a step reads beside h_{t-1}",
        )

    averageable = False

    def __init__(self, options: Options, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__(options, input_sizes, hidden_size, layer)
        self.delayed_weight = self.drawn(hidden_size, len(options.delays) * hidden_size)

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        hidden, size = state[0], self.hidden_size
        num_kept = max(self.options.delays) - 1
        past = state[1] if len(state) > 1 else hidden.new_zeros(len(hidden), num_kept * size)
        delayed = torch.cat([past[:, (k - 2) * size : (k - 1) * size] for k in self.options.delays], dim=1)
        gates_NG = self.add_recurrent(gates_NG, hidden)
        new = (gates_NG + step_product(delayed, self.delayed_weight).to(hidden.dtype)).tanh()
        return new, torch.cat((hidden, past[:, : (num_kept - 1) * size]), dim=1)


class LeakyCell(Cell):
    """Leaky units: h_t = (1 - 1/γ) h_{t-1} + (1/γ) φ(U x_t + W h_{t-1} + b) with γ >= 1; γ = 1 is Elman's network.

    With ``max_gamma`` each unit has another γ (El Hihi & Bengio 1996), so that some units are fast and others slow. A
    learned γ is 1 + softplus(parameter), one for each unit.
    """

    class Options(InitialisedOptions):
        gamma: float = Field(2.0, ge=1, description="time constant in steps; where it is learned, its first value")
        max_gamma: float | None = Field(
            None,
            ge=1,
            description="time constants of the units lie at equal ratios from gamma to this one; null: all equal",
        )
        learned: bool = Field(False, description="learn a gamma for each unit")
        activation: Literal["tanh", "relu"] = Field("tanh", description="of the candidate that the state moves towards")

        @model_validator(mode="after")
        def _can_be_learned(self) -> Self:
            if self.learned and self.gamma == 1:
                raise ValueError("a gamma of 1 can't be learned, as it is the limit: start above it")
            if self.max_gamma is not None and self.max_gamma < self.gamma:
                raise ValueError(f"max_gamma {self.max_gamma:g} is less than gamma {self.gamma:g}")
            return self

    rate_D: Tensor

    def __init__(self, options: Options, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__(options, input_sizes, hidden_size, layer)
        ratio = (options.max_gamma or options.gamma) / options.gamma
        gammas = [options.gamma * ratio ** (unit / max(hidden_size - 1, 1)) for unit in range(hidden_size)]
        if options.learned:
            self.gamma_D = nn.Parameter(torch.tensor([inverse_softplus(gamma - 1) for gamma in gammas]))
        elif ratio > 1:
            self.register_buffer("rate_D", torch.tensor(gammas).reciprocal(), persistent=False)

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        (hidden,) = state
        candidate = self.add_recurrent(gates_NG, hidden)
        candidate = candidate.tanh() if self.options.activation == "tanh" else candidate.relu()
        if not self.options.learned and self.options.max_gamma in (None, self.options.gamma):
            return (torch.lerp(hidden, candidate, 1 / self.options.gamma),)
        rate_D = (1 + F.softplus(self.gamma_D)).reciprocal() if self.options.learned else self.rate_D
        return (hidden + rate_D * (candidate - hidden),)


class ClockworkCell(Cell):
    """Clockwork RNN (Koutník et al. 2014): module k has the period 2^k, and at step t (the first is 0) it computes
    h_t = tanh(U x_t + W h_{t-1} + b) where its period divides t, and keeps h_{t-1} where not.

    A module reads itself and slower ones, so W is block-triangular. On a CPU only the modules that are due at a
    step are computed, which are the first ones. The state has a second part, the number of steps so far [N, 1], the
    same in all rows; a state without it is at the beginning.
    """

    class Options(Options):
        num_modules: int = Field(4, ge=1, le=32, description="modules of equal size, with periods 1, 2, 4, …")

    averageable = False
    period_D: Tensor
    read_DD: Tensor

    def __init__(self, options: Options, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__(options, input_sizes, hidden_size, layer)
        if hidden_size % options.num_modules:
            raise ValueError(f"clockwork: hidden_size {hidden_size} is no multiple of {options.num_modules} modules")
        period_D = 2 ** torch.arange(options.num_modules).repeat_interleave(hidden_size // options.num_modules)
        self.register_buffer("period_D", period_D, persistent=False)
        self.register_buffer("read_DD", period_D >= period_D[:, None], persistent=False)

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        hidden = state[0]
        step_N1 = state[1] if len(state) > 1 else torch.zeros(len(hidden), 1, dtype=torch.long, device=hidden.device)
        num_due = num_modules = self.options.num_modules
        # An accelerator would have to be waited for to know the step: there all modules are computed.
        if hidden.is_cpu and (step := int(step_N1[0])):
            num_due = min((step & -step).bit_length(), num_modules)
        due = slice(0, num_due * self.hidden_size // num_modules)
        weight = self.hidden_weight[due] * self.read_DD[due]
        new = torch.addmm(gates_NG[:, due], hidden.to(product_dtype(weight)), weight.t()).to(hidden.dtype).tanh()
        if not hidden.is_cpu:
            new = torch.where(step_N1 % self.period_D == 0, new, hidden)
        return torch.cat((new, hidden[:, due.stop :]), dim=1), step_N1 + 1


class EchoStateCell(TanhCell):
    """Echo state network (Jaeger 2001): h_t = tanh(U x_t + W h_{t-1}), where U and W stay as they were drawn.

    W has a spectral radius below 1, so that the state forgets how it began. What is outside the cell (embeddings,
    attention, output) learns.
    """

    class Options(Options):
        spectral_radius: float = Field(0.9, gt=0, lt=1, description="largest |eigenvalue| of the recurrent weights")
        input_scale: float = Field(
            0.1, gt=0, description="input weights are drawn from U(±input_scale); large ones saturate the states"
        )

    @classmethod
    def initialise(cls, options: Any, inputs: Parameters, hidden: nn.Parameter, biases: Parameters) -> None:
        with torch.no_grad():
            for weight in inputs:
                weight.uniform_(-options.input_scale, options.input_scale)
        scale_to_radius_(hidden, options.spectral_radius)
        zero(biases)
        for parameter in (*inputs, hidden, *biases):
            parameter.requires_grad_(False)


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
