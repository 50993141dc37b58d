"""The numbers of a step of a decoder: query, keys, scores, weights and context of an attention head, and the states and
gates of a recurrent cell."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from textwrap import dedent
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.attention import MultiHeadAttention
from nmt.models.calls import Call
from nmt.models.cells.base import Cell
from nmt.models.cells.standard import GruCell, LstmCell
from nmt.models.contracts import Attention, Head, Memory, attend

Step = tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]
"""State before, gates, and state after, each part [N, D]."""

KINDS: dict[type, type[Cell]] = {nn.LSTM: LstmCell, nn.GRU: GruCell}
"""Cells whose equations those of PyTorch's kernels are."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of a part of a model for one sentence pair, beside its equation and its code."""

    name: str
    """Name of the head, or of the class of the cell."""
    code: str
    """Class that computes them."""
    equation: str
    sources: list[dict[str, Any]]
    """File, first line and text of the first and of the second half of the computation; empty without source code."""
    values: dict[str, Tensor]
    """Matrices by name."""

    @classmethod
    def of(
        cls, name: str, kind: type, equation: str, shown: Sequence[Callable[..., Any]], values: dict[str, Tensor]
    ) -> Self:
        sources, on_cpu = list[dict[str, Any]](), {key: each.float().cpu() for key, each in values.items()}
        with suppress(OSError):
            for code, (lines, line) in [(code, inspect.getsourcelines(code)) for code in shown]:
                file = f"{code.__module__.replace('.', '/')}.py"
                sources.append({"file": file, "line": line, "text": dedent("".join(lines))})
        return cls(name, f"{kind.__module__}.{kind.__qualname__}", equation, sources, on_cpu)


def attention_numbers(calls: Sequence[Call], head: Head, weights_TS: Tensor) -> Numbers | None:
    """Returns the numbers of a head; None for an attention that is not one score and its softmax.

    The weights [T, S] are the softmax of the scores, and a context [T, D] is the mean of the values [S, D] under them.
    A recurrent decoder has no ``values`` beside the keys.

    Args:
        calls: of the decoder.
        weights_TS: of the head, by which a call that computes something else is recognised.
    """
    # Self-attention gives no weights.
    attended = [
        call for call in calls if isinstance(call[0], MultiHeadAttention | Attention) and call[2][1] is not None
    ]
    multihead = [call for call in attended if isinstance(call[0], MultiHeadAttention)]
    found = None
    if head.layer is not None and head.layer < len(multihead):
        found = _of_multihead(*multihead[head.layer][:2], head)
    elif not multihead:
        found = _of_scores(attended, head)
    if found is None or found.values["weights"].shape != weights_TS.shape:
        return None
    return found if torch.allclose(found.values["weights"], weights_TS.cpu(), atol=1e-3) else None


def _of_multihead(module: nn.Module, arguments: tuple[Any, ...], head: Head) -> Numbers:
    """Returns the numbers of one head of a sentence."""
    assert isinstance(module, MultiHeadAttention)
    query_BTD, (keys_BHSd, values_BHSd) = arguments[:2]
    query_TD = module.split_heads(module.query(query_BTD))[0, head.index].float()
    keys_SD, values_SD = keys_BHSd[0, head.index].float(), values_BHSd[0, head.index].float()
    scores_TS = query_TD @ keys_SD.T * query_TD.shape[1] ** -0.5
    equation = "Vaswani et al. 2017: score = qᵀ k_i / √d, where q = W_Q s, k_i = W_K h_i and v_i = W_V h_i."
    values = {"query": query_TD, "keys": keys_SD, "values": values_SD} | _attended(scores_TS, values_SD)
    return Numbers.of(head.name, type(module), equation, [MultiHeadAttention._explicit], values)


def _of_scores(calls: Sequence[Call], head: Head) -> Numbers | None:
    """Returns the numbers of an attention with one head, which a recurrent decoder calls once or at each step; None for
    one that is made of several."""
    if len({module for module, _, _ in calls}) != 1:
        return None
    module, (_, memory) = calls[0][0], calls[0][1]
    if not isinstance(module, Attention) or not isinstance(memory, Memory):
        return None
    if type(module).scores is Attention.scores:
        return None
    scores_TS = torch.cat([module.scores(*arguments)[0] for _, arguments, _ in calls]).float()
    query_TD = torch.cat([arguments[0][0] for _, arguments, _ in calls]).float()
    values_SD = memory.values_BSD[0].float()
    kind = type(module)
    shown: list[Callable[..., Any]] = [next(each for each in kind.__mro__ if "scores" in vars(each)), attend]
    values = {"query": query_TD, "keys": values_SD} | _attended(scores_TS, values_SD)
    return Numbers.of(head.name, kind, (inspect.getdoc(kind) or "").partition("\n")[0], shown, values)


def _attended(scores_TS: Tensor, values_SD: Tensor) -> dict[str, Tensor]:
    weights_TS = scores_TS.softmax(1)
    return {"scores": scores_TS, "weights": weights_TS, "context": weights_TS @ values_SD}


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
