"""Recurrent kernels on a batch with its padding: results and gradients are those of packed sequences."""

import pytest
import torch
from torch import Tensor

from nmt.models.networks import recurrence
from nmt.models.networks.padded import is_padded_faster
from nmt.models.networks.recurrence import Recurrence, StackOptions

LENGTHS = [9, 8, 3, 1, 9, 5, 7]


def make(cell: str, bidirectional: bool) -> Recurrence:
    torch.manual_seed(3)
    options = StackOptions(cell={"type": cell}, hidden_size=10, num_layers=2)
    return Recurrence(options, 12, bidirectional).double().train()


def results(layer: Recurrence, lengths: list[int], has_state: bool) -> list[Tensor]:
    """Outputs, last state and all gradients, by a loss of which each number has another weight."""
    torch.manual_seed(4)
    layer.zero_grad()
    x_BTD = torch.randn(len(lengths), max(lengths), 12, dtype=torch.float64, requires_grad=True)
    shape = (len(lengths), 2, layer.output_size)
    state = tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(layer.num_states))
    output_BTD, final = layer(x_BTD, state if has_state else None, torch.tensor(lengths))
    torch.stack([(part * torch.randn_like(part)).sum() for part in (output_BTD, *final)]).sum().backward()
    starts = [part.grad for part in state] if has_state else []
    return [output_BTD, *final, x_BTD.grad, *starts, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("has_state", [True, False])
@pytest.mark.parametrize("lengths", [LENGTHS, [4, 4, 4]])
def test_results_are_those_of_packed_sequences(
    cell: str, bidirectional: bool, has_state: bool, lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make(cell, bidirectional)
    assert is_padded_faster(next(iter(layer.layers)), torch.zeros(1))
    padded = results(layer, lengths, has_state)
    monkeypatch.setattr(recurrence, "is_padded_faster", lambda kernel, x: False)
    packed = results(layer, lengths, has_state)
    for found, expected in zip(padded, packed, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_padding_changes_nothing_in_half_precision(dtype: torch.dtype) -> None:
    """The flag of padding must neither overflow nor let a cell state decay."""
    layer = make("lstm", bidirectional=True).to(torch.float32)
    x_BTD = torch.randn(3, 40, 12)
    x_BTD[:, 2:] *= 1000  # in the padding of all but the last sentence
    with torch.autocast("cpu", dtype):
        _, alone = layer(x_BTD[:2, :2].to(dtype), None, torch.tensor([2, 2]))
        output_BTD, final = layer(x_BTD.to(dtype), None, torch.tensor([2, 2, 40]))
    assert not output_BTD[:2, 2:].any()
    for part, expected in zip(final, alone, strict=True):
        torch.testing.assert_close(part[:2].float(), expected.float(), rtol=0.02, atol=0.005)


def test_hooks_see_the_kernel_outside_training() -> None:
    layer = make("lstm", bidirectional=True)
    kernel, x_BTD = next(iter(layer.layers)), torch.zeros(2, 3, 12, dtype=torch.float64)
    with torch.no_grad():
        assert not is_padded_faster(kernel, x_BTD)
    assert not is_padded_faster(kernel.eval(), x_BTD)
    assert not is_padded_faster(next(iter(make("rnn_tanh", False).layers)), x_BTD)
