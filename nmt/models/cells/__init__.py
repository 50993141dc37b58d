"""Recurrent cells: their equations, the table of them, and stacks of them over steps and over whole sequences."""

from nmt.models.cells.base import Cell, CellState, GatedOptions
from nmt.models.cells.gated import GruCell
from nmt.models.cells.recurrence import CellStack, LearnedState, Recurrence, initialised_weights
from nmt.models.cells.table import CELLS, CellChoice, CellField, choose_cell

__all__ = [
    "CELLS",
    "Cell",
    "CellChoice",
    "CellField",
    "CellStack",
    "CellState",
    "GatedOptions",
    "GruCell",
    "LearnedState",
    "Recurrence",
    "choose_cell",
    "initialised_weights",
]
