"""Recurrent cells. A recipe's ``cell`` is a key of the table, or a mapping with a ``type`` and the cell's options."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from nmt.models.cells import standard
from nmt.models.cells.base import Cell, CellState, GatedOptions
from nmt.models.cells.standard import GruCell
from nmt.recipe.options import ChoiceOf, as_mapping
from nmt.recipe.registry import Table

__all__ = ["CELLS", "Cell", "CellField", "CellState", "GatedOptions", "GruCell"]

CELLS: Table[Cell] = Table(
    "cell",
    Cell,
    {
        "rnn_tanh": standard.TanhCell,
        "rnn_relu": standard.ReluCell,
        "lstm": standard.LstmCell,
        "coupled": standard.CoupledLstmCell,
        "gru": standard.GruCell,
        "gru_reset_before": standard.GruResetBeforeCell,
    },
)

CellField = Annotated[dict[str, Any], BeforeValidator(as_mapping), ChoiceOf("cell")]
"""The type of an option ``cell``."""
