"""The SSRU decoder against its equations, written out for one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_systems import torch_attention
from torch import Tensor

from nmt.models.layers import sinusoids
from nmt.models.seq2seq import Seq2Seq

SOURCE = torch.tensor([[4, 9, 7, 5, 3]])
TARGET = torch.tensor([[2, 6, 11, 8]])
ENCODER = {"type": "recurrent", "cell": "rnn_tanh", "hidden_size": 5}
MakeModel = Callable[..., Seq2Seq]


@torch.no_grad()
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("feed_forward_size", [0, 24])
def test_ssru_decoder(make_model: MakeModel, norm: str, feed_forward_size: int) -> None:
    """f = σ(W_f x + b), c_t = f c_{t-1} + (1 - f) W x, h = max(0, c); then attention, each with its residual and norm
    (Kim et al. 2019)."""
    options = {"type": "ssru", "num_layers": 2, "num_heads": 4, "feed_forward_size": feed_forward_size, "norm": norm}
    model = make_model(ENCODER, options)
    decoder: Any = model.decoder
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    encoded = model.encode(SOURCE, torch.tensor([SOURCE.shape[1]]))
    annotations_SD, x_TD = encoded.memories[0].values_BSD[0], decoder.embedding(TARGET)[0]
    x_TD = x_TD + sinusoids(len(x_TD), 16)

    def sublayer(around: Any, x_TD: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        if norm == "pre":
            return x_TD + function(around.norm(x_TD))
        return Tensor(around.norm(x_TD + function(x_TD)))

    weights = []
    for layer in decoder.layers:

        def recurrence(y_TD: Tensor, unit: Any = layer.unit) -> Tensor:
            cell, hidden = torch.zeros(16), []
            for y in y_TD:
                forget = 1 / (1 + torch.exp(-(unit.forget.weight @ y + unit.forget.bias)))
                cell = forget * cell + (1 - forget) * (unit.value.weight @ y)
                hidden.append(cell.clamp(min=0))
            return torch.stack(hidden)

        def attention(y_TD: Tensor, ours: Any = layer.attention) -> Tensor:
            theirs = torch_attention(ours, annotations_SD.shape[1])
            attended, weights_BHTS = theirs(
                y_TD[None], annotations_SD[None], annotations_SD[None], average_attn_weights=False
            )
            weights.append(weights_BHTS)
            return Tensor(attended[0])

        def feed_forward(y_TD: Tensor, part: Any = layer.feed_forward) -> Tensor:
            return Tensor(part.out(part.inner(y_TD).clamp(min=0)))

        x_TD = sublayer(layer.around_unit, x_TD, recurrence)
        x_TD = sublayer(layer.around_attention, x_TD, attention)
        if feed_forward_size:
            x_TD = sublayer(layer.around_feed_forward, x_TD, feed_forward)
    found = decoder.unroll(TARGET, encoded, need_weights=True)
    features_TD = decoder.norm(x_TD) if norm == "pre" else x_TD
    torch.testing.assert_close(found.features_BTD[0], features_TD, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.weights_BHTS, torch.cat(weights, dim=1), atol=1e-5, rtol=1e-5)
