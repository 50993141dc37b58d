"""Truncated backpropagation: whole where nothing is cut, and cut where it should be."""

from typing import Any

import pytest
import torch
from small_systems import WORDS, small_model
from torch import Tensor

from nmt.data.batch import Batch, make_batch
from nmt.extensions.techniques.truncation import Truncation
from nmt.models.cells import CELLS
from nmt.models.contracts import Memory, PerSource, map_tensors
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import Recipe
from nmt.training.loss import token_loss

UNIVERSAL = {"type": "universal_transformer", "max_steps": 3}
SYSTEMS = {
    "vanilla": ({"type": "recurrent"}, {"type": "recurrent", "cell": "gru"}),
    "bahdanau": ({"type": "recurrent"}, {"type": "bahdanau"}),
    "fed": ({"type": "recurrent"}, {"type": "luong", "input_feeding": True}),
    "act": ({"type": "act_rnn", "max_steps": 3}, {"type": "act_rnn", "max_steps": 3, "time_penalty": 0.5}),
    "universal": (UNIVERSAL, {**UNIVERSAL, "time_penalty": 0.5}),
    "transformer": ({"type": "transformer"}, {"type": "transformer"}),
}


@pytest.fixture(params=SYSTEMS)
def model(request: pytest.FixtureRequest) -> Seq2Seq:
    return small_model(*SYSTEMS[request.param], seed=1)


@pytest.fixture
def batch() -> Batch:
    return make_batch([([4, 5, 6], [7, 8, 9, 4, 5, 6, 10]), ([9, 11], [6, 6]), ([8], [])], WORDS)


def loss_of(model: Seq2Seq) -> Any:
    def loss(features_BTD: Tensor, target_BT: Tensor, length_B: Tensor) -> Tensor:
        return token_loss(features_BTD, model.decoder.output, target_BT, length_B, 0.1).smoothed

    return loss


@pytest.mark.parametrize("length", [2, 100], ids=["segments", "whole"])
def test_a_gradient_goes_back_no_further_than_its_segment(model: Seq2Seq, batch: Batch, length: int) -> None:
    """Against a loop that detaches what decoders remember by hand; the memory of the source is never cut off."""

    def without_gradient(part: Any) -> Any:
        if isinstance(part, Memory):
            return part
        return map_tensors(part, Tensor.detach) if isinstance(part, PerSource) else part.detach()

    technique = Truncation(Truncation.Options(length=length), Recipe.model_construct())
    technique.backward(model, batch, loss_of(model), lambda loss: loss)
    cut = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    state, loss, features = model.decoder.start(encoded), sum(encoded.aux_losses.values()), []
    for first in range(0, batch.target_input_BT.shape[1], length):
        state = map_tensors(state, without_gradient, without_gradient) if first else state
        read, state = model.decoder.advance(batch.target_input_BT[:, first : first + length], state)
        loss = sum(read.aux_losses.values(), loss)
        features.append(read.features_BTD)
    loss = loss + loss_of(model)(torch.cat(features, 1), batch.target_output_BT, batch.target_length_B)
    loss.backward()
    reached = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert cut.keys() == reached.keys()
    assert "decoder.embedding.table.weight" in reached
    for name, gradient in reached.items():
        torch.testing.assert_close(cut[name], gradient, atol=1e-4, rtol=1e-4)


def test_a_learned_first_state_of_a_truncated_encoder_learns_from_the_first_segment() -> None:
    options = {"type": "recurrent", "hidden_size": 4, "bidirectional": False, "initial_state": "learned"}
    encoder = small_model({**options, "truncation": 3}, {"type": "luong"}, seed=1, embedding_size=5).encoder
    (values_SD,) = encoder(torch.tensor([[4, 5, 6, 7, 8, 3]]), torch.tensor([6])).memories[0].values_BSD
    learned = list(encoder.first_state.parameters())
    for position, is_reached in enumerate([True] * 3 + [False] * 3):
        found = torch.autograd.grad(values_SD[position].sum(), learned, retain_graph=True, allow_unused=True)
        assert any(gradient is not None and bool(gradient.any()) for gradient in found) is is_reached


@pytest.mark.parametrize("cell", [cell for cell in ("lstm", "gru_reset_before", "clockwork") if cell in CELLS])
def test_gradients_of_a_truncated_encoder_stay_within_segments(cell: str) -> None:
    """Segments of 3 words: of the annotation of word 4, forward, the gradient reaches words 3 and 4, and backward
    (a sentence of 8 with EOS, read from its end: 7 6 5, 4 3 2) word 4 alone."""
    options = {"type": "recurrent", "cell": cell, "hidden_size": 4, "bidirectional": True}
    cut, whole = (
        small_model({**options, "truncation": length}, {"type": "luong"}, seed=1, embedding_size=5).encoder
        for length in (3, 1000)
    )
    whole.load_state_dict(cut.state_dict())
    source, length = torch.tensor([[4, 5, 6, 7, 8, 9, 10, 3], [4, 5, 3, 0, 0, 0, 0, 0]]), torch.tensor([8, 3])

    def reached(encoder: Any, part: slice) -> tuple[Tensor, set[int]]:
        caught: list[Tensor] = []
        with encoder.embedding.register_forward_hook(lambda *call: caught.append(call[2].requires_grad_())):
            values_BSD = encoder(source, length).memories[0].values_BSD
        (gradient_BSD,) = torch.autograd.grad(values_BSD[0, 4, part].sum(), caught)
        return values_BSD, set(gradient_BSD[0].abs().sum(1).nonzero().flatten().tolist())

    forward, backward = slice(0, 4), slice(4, 8)
    values, words = reached(cut, forward)
    assert words == {3, 4}
    assert reached(cut, backward)[1] == {4}
    values_of_whole, words = reached(whole, forward)
    assert words == {0, 1, 2, 3, 4}
    torch.testing.assert_close(values, values_of_whole)  # only gradients are cut
