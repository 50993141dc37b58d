"""The numbers of the recurrent cell of a decoder, step by step: its states and gates."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.extensions.lecture.attention_numbers import Numbers
from nmt.models.calls import Call
from nmt.models.cells.base import Cell
from nmt.models.cells.gated import GruCell, LstmCell

Step = tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]
"""State before, gates, and state after, each part [N, D]."""

KINDS: dict[type, type[Cell]] = {nn.LSTM: LstmCell, nn.GRU: GruCell}
"""Cells whose equations those of PyTorch's kernels are."""


def cell_numbers(calls: Sequence[Call], num_steps: int) -> Numbers | None:
    """Returns the numbers of the top cell; None for a decoder without a cell that names its gates, or that computes
    more than one step of it for a token.

    The values [T, D] have the names of the equation: the state before a step, the gates and the candidate, and the
    state after it.

    Args:
        calls: of the decoder, for one sentence pair.
        num_steps: tokens of the target, EOS counted.
    """
    top = next((module for module, *_ in reversed(calls) if isinstance(module, Cell | nn.RNNBase)), None)
    own, kind = [call for call in calls if call[0] is top], KINDS.get(type(top), type(top))
    if not issubclass(kind, Cell) or not kind.gate_names:
        return None
    if isinstance(top, Cell):
        steps = [(state, top.gates(gates_ND, state), after) for _, (gates_ND, state, *_), after in own]
    else:
        steps = _of_kernel(top, *own[-1][1:])
    if len(steps) != num_steps:
        return None
    states = ("h", "C")[: kind.num_states]
    names = (*(f"{name}_{{t-1}}" for name in states), *kind.gate_names, *(f"{name}_t" for name in states))
    rows = zip(*((*before, *gates, *after) for before, gates, after in steps), strict=True)
    values = {name: torch.cat(row) for name, row in zip(names, rows, strict=True)}
    return Numbers.of(kind.__name__, kind, inspect.getdoc(kind) or "", [kind.gates, kind.forward], values)


def _of_kernel(kernel: Any, arguments: tuple[Any, ...], output: tuple[Tensor, Any]) -> list[Step]:
    """Returns the steps of PyTorch's LSTM or GRU, in the terms of :class:`LstmCell` and :class:`GruCell`."""
    [(input_weight, hidden_weight, input_bias, hidden_bias)] = kernel.all_weights
    x_TD, first = arguments[0][0].float(), arguments[1]
    state: tuple[Tensor, ...] = tuple(part[0].float() for part in (first if isinstance(first, tuple) else (first,)))
    steps: list[Step] = []
    gates: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    for x_1D, after_1D in zip(*(torch.split(part_TD, 1) for part_TD in (x_TD, output[0][0].float())), strict=True):
        from_input = F.linear(x_1D, input_weight, input_bias)
        from_hidden = F.linear(state[0], hidden_weight, hidden_bias)
        if isinstance(kernel, nn.LSTM):
            i, f, candidate, o = (from_input + from_hidden).chunk(4, dim=1)
            gates = i.sigmoid(), f.sigmoid(), o.sigmoid(), candidate.tanh()
            after = after_1D, gates[1] * state[1] + gates[0] * gates[3]
        else:
            (r, z, candidate), (hidden_r, hidden_z, hidden_candidate) = from_input.chunk(3, 1), from_hidden.chunk(3, 1)
            reset = (r + hidden_r).sigmoid()
            # PyTorch's z weighs the state before, that of GruCell the candidate.
            gates = reset, 1 - (z + hidden_z).sigmoid(), (candidate + reset * hidden_candidate).tanh()
            after = (after_1D,)
        steps.append((state, gates, after))
        state = after
    return steps
