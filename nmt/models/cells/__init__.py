"""Recurrent cells. A recipe's ``cell`` is a key of the table, or a mapping with a ``type`` and the cell's options."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from nmt.models.cells.base import Cell, CellState, GatedOptions
from nmt.models.cells.gated import CoupledLstmCell, DepthGatedLstmCell, GruCell, LstmCell, PeepholeLstmCell
from nmt.models.cells.simple import ClockworkCell, EchoStateCell, LeakyCell, ReluCell, TanhCell
from nmt.options import ChoiceOf, Options, as_mapping
from nmt.plugins import Table

__all__ = ["CELLS", "Cell", "CellChoice", "CellField", "CellState", "GatedOptions", "GruCell", "choose_cell"]

CELLS: Table[Cell] = Table(
    "cell",
    Cell,
    {
        "rnn_tanh": TanhCell,
        "rnn_relu": ReluCell,
        "leaky": LeakyCell,
        "clockwork": ClockworkCell,
        "echo_state": EchoStateCell,
        "lstm": LstmCell,
        "peephole": PeepholeLstmCell,
        "coupled": CoupledLstmCell,
        "depth_gated": DepthGatedLstmCell,
        "gru": GruCell,
    },
)

CellChoice = str | Mapping[str, Any]
"""``gru``, or ``{type: leaky, gamma: 4}``."""


CellField = Annotated[dict[str, Any], BeforeValidator(as_mapping), ChoiceOf("cell")]
"""The type of an option ``cell``."""


def choose_cell(choice: CellChoice) -> tuple[type[Cell], Options]:
    """The class of a recipe's cell, and its checked options; raises UserError for a wrong one."""
    return CELLS.choose(choice, "cell")
