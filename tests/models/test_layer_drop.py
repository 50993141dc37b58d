"""Layers that are left out in training: which, how often, and what the others then compute."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nmt.data.batching import Batch
from nmt.models.layer_drop import LayerDrop
from nmt.models.seq2seq import Seq2Seq

MakeModel = Callable[..., Seq2Seq]
STACK = {"type": "transformer", "num_layers": 3, "num_heads": 2, "feed_forward_size": 8, "dropout": 0.0}


def features(model: Seq2Seq, batch: Batch, **others: Any) -> torch.Tensor:
    return model(batch.source_BS, batch.source_length_B, batch.target_input_BT, **others).features_BTD


def test_each_layer_is_dropped_at_the_rate_by_itself() -> None:
    torch.manual_seed(3)
    drop = LayerDrop(0.3).train()
    kept = torch.tensor([drop.kept(4) for _ in range(4000)]).float()
    torch.testing.assert_close(kept.mean(0), torch.full((4,), 0.7), atol=0.03, rtol=0)
    correlation = torch.corrcoef(kept.t())
    assert (correlation - torch.eye(4)).abs().max() < 0.06


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.9, False)])
def test_without_a_rate_or_outside_training_nothing_is_dropped_or_drawn(rate: float, training: bool) -> None:
    before = torch.get_rng_state()
    assert LayerDrop(rate).train(training).kept(5) == [True] * 5
    assert torch.equal(torch.get_rng_state(), before), "runs with a seed stay as they were"


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_what_is_left_computes_as_if_the_layer_had_never_been(
    make_model: MakeModel, batch: Batch, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model({**STACK, "norm": norm, "layer_drop": 0.5}, {**STACK, "norm": norm, "layer_drop": 0.5}).train()
    monkeypatch.setattr(LayerDrop, "kept", lambda self, num_layers: [True, False, True][:num_layers])
    found = features(model, batch)
    for side in (model.encoder, model.decoder):
        del side.layers[1]  # type: ignore[union-attr, operator]
    monkeypatch.setattr(LayerDrop, "kept", lambda self, num_layers: [True] * num_layers)
    torch.testing.assert_close(found, features(model, batch))


def test_a_dropped_layer_gets_no_gradient(make_model: MakeModel, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(STACK, STACK).train()
    monkeypatch.setattr(LayerDrop, "kept", lambda self, num_layers: [False, True, True])
    features(model, batch).sum().backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without
    assert {name for name in without if not name.startswith("decoder.output")} == {
        name
        for name, _ in model.named_parameters()
        # The memory's keys are projected for all layers at once, but nobody asks for those of a dropped one.
        if name.startswith(("encoder.layers.0.", "decoder.layers.0."))
    }


def test_layers_that_owe_their_weights_stay(make_model: MakeModel, batch: Batch) -> None:
    decoder = {**STACK, "layer_drop": 0.9}
    model = make_model(STACK, decoder).train()
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
    assert unrolled.weights_BHTS.shape[1] == len(model.decoder.head_names)
    torch.testing.assert_close(unrolled.features_BTD, features(model.eval(), batch))
