"""Elman's cells, without gates."""

from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from nmt.models.cells.base import Cell, CellState, InitialisedOptions
from nmt.recipe.options import Options


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
