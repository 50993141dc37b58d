"""int8 layers against float ones, and what becomes of whole models."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from nmt.data.batching import Batch
from nmt.errors import UserError
from nmt.models.interfaces import OutputLayer
from nmt.models.quantize import Int8Linear, quantize_int8
from nmt.models.seq2seq import Seq2Seq

RECURRENT = {"type": "recurrent", "hidden_size": 16}
TRANSFORMER = {"type": "transformer", "num_layers": 2, "num_heads": 4, "feed_forward_size": 24}
SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vanilla": (RECURRENT, RECURRENT),
    "bahdanau": (RECURRENT, {**RECURRENT, "type": "bahdanau"}),
    "luong": (RECURRENT, {**RECURRENT, "type": "luong"}),
    "transformer": (TRANSFORMER, TRANSFORMER),
}


@pytest.mark.parametrize("shape", [(1, 48), (5, 48), (2, 3, 48), (2, 0, 48)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_result_is_that_of_rounded_numbers(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(1)
    exact = nn.Linear(48, 31, bias=bias)
    x = torch.randn(shape)
    with torch.inference_mode():
        found = Int8Linear(exact.weight, exact.bias)(x)
        assert found.shape == (*shape[:-1], 31)
        # The same in floating point: numbers rounded to 127 steps of the largest of their row.
        step_w = exact.weight.abs().amax(1, keepdim=True) / 127
        step_x = x.abs().amax(-1, keepdim=True) / 127
        product = (x / step_x).round().double() @ (exact.weight / step_w).round().double().t()
        expected = product * step_x * step_w.t().squeeze(0) + (exact.bias if bias else 0)
        torch.testing.assert_close(found, expected.float())
        torch.testing.assert_close(found, exact(x), atol=0.05, rtol=0)


def test_a_row_of_zeros_is_zero() -> None:
    layer = Int8Linear(torch.randn(4, 8), None)
    assert torch.equal(layer(torch.zeros(2, 8)), torch.zeros(2, 4))


def test_rows_do_not_change_one_another() -> None:
    torch.manual_seed(2)
    layer, x = Int8Linear(torch.randn(16, 32), torch.randn(16)), torch.randn(6, 32)
    large = torch.cat((x, 1000 * torch.randn(1, 32)))
    assert torch.equal(layer(large)[:6], layer(x))
    assert torch.equal(layer(x[2:3]), layer(x)[2:3])


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_computes_about_the_same(make_model: Callable[..., Seq2Seq], batch: Batch, system: str) -> None:
    encoder, decoder = SYSTEMS[system]
    exact, rounded = make_model(encoder, decoder), make_model(encoder, decoder)
    quantize_int8(rounded)
    assert not any(type(m) is nn.Linear and m.out_features > 1 for m in rounded.modules())
    assert not any(isinstance(m, OutputLayer) for m in rounded.modules())
    with torch.inference_mode():
        logits = [
            model.decoder.output(model(batch.source_BS, batch.source_length_B, batch.target_input_BT).features_BTD)
            for model in (exact, rounded)
        ]
    largest = (logits[0] - logits[1]).abs().max()
    assert 0 < largest < 0.1 * logits[0].abs().max()


def test_only_on_a_cpu() -> None:
    with pytest.raises(UserError, match="--device cpu"):
        quantize_int8(nn.Linear(2, 2, device="meta"))
