"""Recurrent cells. A recipe's ``cell`` is a key of the table, or a mapping with a ``type`` and the cell's options."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from nmt.models.cells.base import Cell, CellState, GatedOptions
from nmt.models.cells.gated import (
    CoupledLstmCell,
    DepthGatedLstmCell,
    GruCell,
    GruResetBeforeCell,
    LstmCell,
    PeepholeLstmCell,
)
from nmt.models.cells.simple import ClockworkCell, EchoStateCell, LeakyCell, ReluCell, TanhCell, TimeSkipCell
from nmt.options import ChoiceOf, as_mapping
from nmt.plugins import Table

__all__ = ["CELLS", "Cell", "CellField", "CellState", "GatedOptions", "GruCell"]

CELLS: Table[Cell] = Table(
    "cell",
    Cell,
    {
        "rnn_tanh": TanhCell,
        "rnn_relu": ReluCell,
        "time_skip": TimeSkipCell,
        "leaky": LeakyCell,
        "clockwork": ClockworkCell,
        "echo_state": EchoStateCell,
        "lstm": LstmCell,
        "peephole": PeepholeLstmCell,
        "coupled": CoupledLstmCell,
        "depth_gated": DepthGatedLstmCell,
        "gru": GruCell,
        "gru_reset_before": GruResetBeforeCell,
    },
)

CellField = Annotated[dict[str, Any], BeforeValidator(as_mapping), ChoiceOf("cell")]
"""The type of an option ``cell``."""
