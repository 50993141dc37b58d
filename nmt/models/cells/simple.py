"""Cells without gates: Elman's, leaky units, the clockwork RNN, the echo state network."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.cells.base import Cell, CellState, InitialisedOptions, Parameters, scale_to_radius, zero
from nmt.models.layers import inverse_softplus
from nmt.options import Options


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


class LeakyOptions(InitialisedOptions):
    """Options of ``cell: leaky``."""

    gamma: float = Field(2.0, ge=1, description="time constant in steps; where it is learned, its first value")
    learned: bool = Field(False, description="learn a gamma for each unit")
    activation: Literal["tanh", "relu"] = Field("tanh", description="of the candidate that the state moves towards")

    @model_validator(mode="after")
    def _can_be_learned(self) -> Self:
        if self.learned and self.gamma == 1:
            raise ValueError("a gamma of 1 can't be learned, as it is the limit: start above it")
        return self


class LeakyCell(Cell):
    """Leaky units: h_t = (1 - 1/γ) h_{t-1} + (1/γ) φ(U x_t + W h_{t-1} + b) with γ >= 1; γ = 1 is Elman's network.

    A learned γ is 1 + softplus(parameter), one for each unit.
    """

    Options = LeakyOptions

    def __init__(self, options: LeakyOptions, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__(options, input_sizes, hidden_size, layer)
        if options.learned:
            self.gamma_D = nn.Parameter(torch.full((hidden_size,), inverse_softplus(options.gamma - 1)))

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        (hidden,) = state
        candidate = self.add_recurrent(gates_NG, hidden)
        candidate = candidate.tanh() if self.options.activation == "tanh" else candidate.relu()
        if not self.options.learned:
            return (torch.lerp(hidden, candidate, 1 / self.options.gamma),)
        rate_D = (1 + F.softplus(self.gamma_D)).reciprocal()
        return (hidden + rate_D * (candidate - hidden),)


class ClockworkOptions(Options):
    """Options of ``cell: clockwork``."""

    num_modules: int = Field(4, ge=1, le=1000, description="modules of equal size, with periods 1, 2, 4, …")


class ClockworkCell(Cell):
    """Clockwork RNN (Koutník et al. 2014): module k has the period 2^k, and at step t (the first is 0) it computes
    h_t = tanh(U x_t + W h_{t-1} + b) where its period divides t, and keeps h_{t-1} where not.

    A module reads itself and slower ones, so W is block-triangular. The state has a second part, the number of
    steps so far [N, 1]; a state without it is at the beginning.
    """

    Options = ClockworkOptions
    averageable = False
    period_D: Tensor
    read_DD: Tensor

    def __init__(self, options: ClockworkOptions, input_sizes: Sequence[int], hidden_size: int, layer: int = 0) -> None:
        super().__init__(options, input_sizes, hidden_size, layer)
        if hidden_size % options.num_modules:
            raise ValueError(f"clockwork: hidden_size {hidden_size} is no multiple of {options.num_modules} modules")
        period_D = 2 ** torch.arange(options.num_modules).repeat_interleave(hidden_size // options.num_modules)
        self.register_buffer("period_D", period_D, persistent=False)
        self.register_buffer("read_DD", period_D >= period_D[:, None], persistent=False)

    def add_recurrent(self, gates_NG: Tensor, hidden_ND: Tensor) -> Tensor:
        weight = self.hidden_weight * self.read_DD
        return torch.addmm(gates_NG, hidden_ND, weight.t()).to(hidden_ND.dtype)

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        hidden = state[0]
        step_N1 = state[1] if len(state) > 1 else torch.zeros(len(hidden), 1, dtype=torch.long, device=hidden.device)
        new = self.add_recurrent(gates_NG, hidden).tanh()
        return torch.where(step_N1 % self.period_D == 0, new, hidden), step_N1 + 1


class EchoStateOptions(Options):
    """Options of ``cell: echo_state``."""

    spectral_radius: float = Field(0.9, gt=0, lt=1, description="largest |eigenvalue| of the recurrent weights")
    input_scale: float = Field(
        0.1, gt=0, description="input weights are drawn from U(±input_scale); large ones saturate the states"
    )


class EchoStateCell(TanhCell):
    """Echo state network (Jaeger 2001): h_t = tanh(U x_t + W h_{t-1}), where U and W stay as they were drawn.

    W has a spectral radius below 1, so that the state forgets how it began. What is outside the cell (embeddings,
    attention, output) learns.
    """

    Options = EchoStateOptions

    @classmethod
    def initialise(cls, options: Any, inputs: Parameters, hidden: nn.Parameter, biases: Parameters) -> None:
        with torch.no_grad():
            for weight in inputs:
                weight.uniform_(-options.input_scale, options.input_scale)
        scale_to_radius(hidden, options.spectral_radius)
        zero(biases)
        for parameter in (*inputs, hidden, *biases):
            parameter.requires_grad_(False)
