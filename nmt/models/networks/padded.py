"""PyTorch's LSTM and GRU over a batch with its padding, for training on a CPU.

The gradient of a packed sequence, PyTorch's form of sentences of different lengths, takes two to three times as long
there as that of a batch without padding: each of its T steps makes a gradient of the size of the whole input, and
oneDNN's LSTM takes no packed sequences.
"""

from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.cells.base import CellState
from nmt.models.layers import at_end, length_mask, reverse_within

CLOSING = 1e4
"""Weight of the flag of padding in a gate that it opens or closes: the sum of the other inputs is far smaller."""
NUM_FLAGS = 16
"""Inputs beside the others for the flag, all but one of them zero: oneDNN is slow with odd widths."""


def is_padded_faster(kernel: nn.Module, x_BTD: Tensor) -> TypeGuard[nn.LSTM | nn.GRU]:
    """Whether :func:`run_padded` should take the place of the kernel's own call.

    The hooks of the kernel don't see it, so it is for training alone.
    """
    trains = kernel.training and torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return trains and x_BTD.is_cpu and isinstance(kernel, nn.LSTM | nn.GRU)


def run_padded(
    kernel: nn.LSTM | nn.GRU, x_BTD: Tensor, start: CellState | Tensor | None, length_B: Tensor
) -> tuple[Tensor, CellState]:
    """Outputs of a layer [B, T, D], zero in the padding, and each part of its last state [directions, B, hidden].

    Each direction reads a sentence from its own end, so that padding comes last and no output depends on it. In the
    padding an LSTM keeps its cell state: there, the flag opens the forget gate and closes the input gate.

    Args:
        kernel: of one layer, ``batch_first``.
        start: first state as the kernel takes it, zeros where None.
    """
    is_real_BT = length_mask(length_B, x_BTD.shape[1])
    if start is None:
        zeros_WBD = x_BTD.new_zeros(len(kernel.all_weights), len(x_BTD), kernel.hidden_size)
        start = (zeros_WBD, zeros_WBD)
    parts = start if isinstance(start, tuple) else (start,)
    has_flag = isinstance(kernel, nn.LSTM) and not bool(is_real_BT.all())
    if has_flag:
        x_BTD = _with_flag(x_BTD, ~is_real_BT)
    outputs, finals = [], []
    for way, parameters in enumerate(kernel.all_weights):
        read_BTD = reverse_within(x_BTD, length_B) if way else x_BTD
        first = [part[way, None] for part in parts]
        weights = _for_flag(parameters) if has_flag else list[Tensor](parameters)
        if isinstance(kernel, nn.LSTM):
            output_BTD, _, *cells = torch.lstm(read_BTD, first, weights, True, 1, 0.0, True, False, True)
        else:
            output_BTD, _, *cells = torch.gru(read_BTD, first[0], weights, True, 1, 0.0, True, False, True)
        finals.append((at_end(output_BTD.transpose(0, 1), length_B)[None], *cells))
        outputs.append(reverse_within(output_BTD, length_B) if way else output_BTD)
    output_BTD = torch.cat(outputs, dim=2).masked_fill(~is_real_BT[:, :, None], 0)
    return output_BTD, tuple(torch.cat(ways) for ways in zip(*finals, strict=True))


def _with_flag(x_BTD: Tensor, is_padding_BT: Tensor) -> Tensor:
    """An input with the flag of padding beside it, and zeros in the padding."""
    flags_BTF = F.pad(is_padding_BT[:, :, None].to(x_BTD.dtype), (0, NUM_FLAGS - 1))
    return torch.cat((x_BTD.masked_fill(is_padding_BT[:, :, None], 0), flags_BTF), dim=2)


def _for_flag(weights: Sequence[Tensor]) -> list[Tensor]:
    """Weights of an LSTM for an input with the flag."""
    input_weight_GD, *others = weights
    # PyTorch's gates are i, f, C~, o.
    closing_4 = input_weight_GD.new_tensor([-CLOSING, CLOSING, 0, 0])
    closing_GF = F.pad(closing_4.repeat_interleave(len(input_weight_GD) // 4)[:, None], (0, NUM_FLAGS - 1))
    return [torch.cat((input_weight_GD, closing_GF), dim=1), *others]
