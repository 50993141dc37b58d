"""PyTorch's LSTM and GRU over a batch with its padding, for training.

On a CPU the gradient of a packed sequence, PyTorch's form of sentences of different lengths, takes two to three times
as long as that of a batch without padding: each of its T steps makes a gradient of the size of the whole input, and
oneDNN's LSTM takes no packed sequences. On a GPU, packing would have to wait for the lengths, and a CUDA graph has
fixed shapes.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.cells.base import CellState
from nmt.models.layers import at_end, length_mask, reverse_within

CLOSING = 1e4  # weight of the flag of padding in a gate: the sum of the other inputs is far smaller
NUM_FLAGS = 16  # inputs beside the others for the flag, all but one of them zero: oneDNN is slow with odd widths


def is_padded_faster(kernel: nn.RNNBase, x_BTD: Tensor) -> bool:
    """Whether :func:`run_padded` should take the place of the kernel's own call.

    The hooks of the kernel don't see it, so it is for training without any.
    """
    trains = kernel.training and torch.is_grad_enabled() and not torch.compiler.is_compiling()
    if x_BTD.is_cpu:
        return trains and isinstance(kernel, nn.LSTM | nn.GRU)
    return trains and not kernel._forward_hooks


def run_padded(
    kernel: nn.RNNBase, x_BTD: Tensor, start: CellState | Tensor | None, length_B: Tensor
) -> tuple[Tensor, CellState]:
    """Outputs of a layer [B, T, D], zero in the padding, and each part of its last state [directions, B, hidden].

    Each direction reads a sentence from its own end, so that padding comes last and no output depends on it. In the
    padding an LSTM keeps its cell state: there, the flag opens the forget gate and closes the input gate. The kernel
    has one layer and is ``batch_first``; ``start`` is the first state as it takes it, zeros where None.
    """
    is_real_BT = length_mask(length_B, x_BTD.shape[1])
    if start is None:
        zeros_WBD = x_BTD.new_zeros(len(kernel.all_weights), len(x_BTD), kernel.hidden_size)
        start = (zeros_WBD, zeros_WBD)
    parts = start if isinstance(start, tuple) else (start,)
    has_flag = isinstance(kernel, nn.LSTM) and not (x_BTD.is_cpu and bool(is_real_BT.all()))
    if has_flag:
        is_padding_BT1 = ~is_real_BT[:, :, None]
        flags_BTF = F.pad(is_padding_BT1.to(x_BTD.dtype), (0, NUM_FLAGS - 1))
        x_BTD = torch.cat((x_BTD.masked_fill(is_padding_BT1, 0), flags_BTF), dim=2)
    outputs, finals = [], []
    for way, parameters in enumerate(kernel.all_weights):
        read_BTD = reverse_within(x_BTD, length_B) if way else x_BTD
        first = [part[way, None] for part in parts]
        weights = _for_flag(parameters) if has_flag else list[Tensor](parameters)
        state = first if isinstance(kernel, nn.LSTM) else first[0]
        run = getattr(torch, kernel.mode.lower())  # lstm, gru, rnn_tanh or rnn_relu
        with nullcontext() if x_BTD.is_cpu else warnings.catch_warnings():
            # cuDNN copies weights that aren't side by side, and says so.
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
            output_BTD, _, *cells = run(read_BTD, state, weights, True, 1, 0.0, True, False, True)
        finals.append((at_end(output_BTD.transpose(0, 1), length_B)[None], *cells))
        outputs.append(reverse_within(output_BTD, length_B) if way else output_BTD)
    output_BTD = torch.cat(outputs, dim=2).masked_fill(~is_real_BT[:, :, None], 0)
    return output_BTD, tuple(torch.cat(ways) for ways in zip(*finals, strict=True))


def _for_flag(weights: Sequence[Tensor]) -> list[Tensor]:
    """Weights of an LSTM for an input with the flag."""
    input_weight_GD, *others = weights
    closing_GF = input_weight_GD.new_zeros(len(input_weight_GD), NUM_FLAGS)
    input_gate_F, forget_gate_F, *_ = torch.unflatten(closing_GF[:, 0], 0, (4, -1))  # PyTorch's gates are i, f, C~, o
    input_gate_F.fill_(-CLOSING)
    forget_gate_F.fill_(CLOSING)
    return [torch.cat((input_weight_GD, closing_GF), dim=1), *others]
