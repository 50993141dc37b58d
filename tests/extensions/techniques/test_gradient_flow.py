"""Pascanu's penalty, against Jacobians computed one by one."""

import itertools
from typing import Any

import pytest
import torch
from small_systems import WORDS, small_model
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.core.errors import UserError
from nmt.data.batch import make_batch
from nmt.extensions.techniques.gradient_flow import gradient_flow_penalty, record_layers

D, T = 4, 5
LENGTHS = [3, 5, 1]
LAST = torch.linspace(-2, 1, 2 * 3 * D).view(2, 3, D)
"""What a last state counts in the loss: directions, sentences, width."""


class Reader(nn.Module):
    """A recurrent layer whose outputs and last states are weighed into a loss."""

    def __init__(self, nonlinearity: Any, bidirectional: bool, packed: bool, reads: str = "outputs") -> None:
        super().__init__()
        self.rnn = nn.RNN(3, D, batch_first=True, nonlinearity=nonlinearity, bidirectional=bidirectional)
        self.lengths, self.packed, self.reads = LENGTHS if packed else [T] * 3, packed, reads

    def forward(self, x_BTD: Tensor) -> Tensor:
        if not self.packed:
            return self.loss(*self.rnn(x_BTD))
        packed, last_WBD = self.rnn(pack_padded_sequence(x_BTD, torch.tensor(LENGTHS), True, enforce_sorted=False))
        return self.loss(pad_packed_sequence(packed, True)[0], last_WBD)

    def loss(self, out_BTD: Tensor, last_WBD: Tensor) -> Tensor:
        weights_BTD = torch.linspace(-1, 1, out_BTD.numel()).view_as(out_BTD)
        of_outputs = (out_BTD * weights_BTD).pow(2).sum() + (out_BTD * weights_BTD.flip(1)).sum()
        of_last = (last_WBD * LAST[: len(last_WBD)]).pow(2).sum() + (last_WBD * LAST[: len(last_WBD)]).sum()
        return (of_outputs if self.reads != "last" else 0) + (of_last if self.reads != "outputs" else 0)


def expected_penalty(model: Reader, x_BTD: Tensor) -> float:
    """The ratios from Jacobians by autograd, sentence by sentence and step by step, over an unrolled network."""
    activation = torch.tanh if model.rnn.nonlinearity == "tanh" else torch.relu
    ways = []
    for way, (w_ih, w_hh, b_ih, b_hh) in enumerate(model.rnn.all_weights):
        ways.append([])
        for row, length in enumerate(model.lengths):
            states = [torch.zeros(D)]
            for position in range(length - 1, -1, -1) if way else range(length):
                states.append(activation(w_ih @ x_BTD[row, position] + b_ih + w_hh @ states[-1] + b_hh))
                states[-1].retain_grad()
            ways[way].append(states[1:])
    padded = [[torch.stack((s[::-1] if way else s) + [torch.zeros(D)] * (T - len(s))) for s in rows]
              for way, rows in enumerate(ways)]  # fmt: skip
    out_BTD = torch.cat([torch.stack(rows) for rows in padded], dim=2)
    model.loss(out_BTD, torch.stack([torch.stack([s[-1] for s in rows]) for rows in ways])).backward(retain_graph=True)
    penalty = 0.0
    for rows in ways:
        ratios = []
        for before, after in (pair for states in rows for pair in itertools.pairwise(states)):
            total = after.grad  # which the next line adds to
            if total.norm():  # a unit of rectifiers that is off says nothing about a direction
                (back,) = torch.autograd.grad(after, before, total, retain_graph=True)
                ratios.append((float(back.norm() / total.norm()) - 1) ** 2)
        penalty += sum(ratios) / max(len(ratios), 1)
    return penalty


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("reads", ["outputs", "last", "both"])
def test_it_is_the_stretch_of_each_step_back(nonlinearity: str, bidirectional: bool, packed: bool, reads: str) -> None:
    torch.manual_seed(4)
    model = Reader(nonlinearity, bidirectional, packed, reads)
    x_BTD = torch.randn(3, T, 3)
    recorded = record_layers(model)
    loss = model(x_BTD)
    penalty = gradient_flow_penalty(loss, recorded)
    assert penalty.item() == pytest.approx(expected_penalty(model, x_BTD), rel=1e-4)


def test_its_gradient_reaches_the_recurrent_weights_alone_and_mends_them() -> None:
    torch.manual_seed(5)
    model, x_BTD = Reader("tanh", False, True), torch.randn(3, T, 3)
    recorded, penalties = record_layers(model), []
    for _ in range(30):
        recorded.clear()
        penalties.append(gradient_flow_penalty(model(x_BTD), recorded))
        gradients = torch.autograd.grad(penalties[-1], list(model.parameters()), allow_unused=True)
        reached = {name: g for (name, _), g in zip(model.named_parameters(), gradients, strict=True) if g is not None}
        assert list(reached) == ["rnn.weight_hh_l0"]
        model.rnn.weight_hh_l0.data -= 0.1 * reached["rnn.weight_hh_l0"]
    assert penalties[-1] < 0.5 * penalties[0]


def test_weights_in_bfloat16_have_about_the_same_penalty() -> None:
    """On a GPU they have the type of the computation."""
    torch.manual_seed(5)
    model, x_BTD, penalties = Reader("tanh", False, False), torch.randn(3, T, 3), []
    recorded = record_layers(model)
    for dtype in (torch.float32, torch.bfloat16):
        recorded.clear()
        penalties.append(gradient_flow_penalty(model.to(dtype)(x_BTD.to(dtype)), recorded))
    torch.testing.assert_close(*penalties, rtol=0.05, atol=0)


def test_a_layer_that_the_loss_does_not_depend_on_is_refused() -> None:
    model = Reader("tanh", False, False)
    recorded = record_layers(model)
    model.eval()(torch.randn(3, T, 3))
    assert not recorded, "nothing is recorded in validation"
    model.train()(torch.randn(3, T, 3))
    with pytest.raises(UserError, match="doesn't depend on"):
        gradient_flow_penalty(torch.zeros((), requires_grad=True) * 2, recorded)


def test_a_model_without_plain_layers_is_refused() -> None:
    with pytest.raises(UserError, match="plain recurrent"):
        record_layers(nn.LSTM(3, 4))
    with pytest.raises(UserError, match="trains none"):
        record_layers(nn.RNN(3, 4).requires_grad_(False))


@pytest.mark.parametrize(
    ("decoder", "has_penalty"),
    [({"type": "recurrent"}, 1), ({"type": "luong"}, 1), ({"type": "luong", "input_feeding": True}, 0), ({}, 0)],
    ids=str,
)
def test_decoders_that_attend_before_they_step_have_none(decoder: dict[str, Any], has_penalty: int) -> None:
    """As docs/how-to/training-techniques.md says."""
    encoder = {"type": "recurrent", "cell": "rnn_tanh", "hidden_size": 16}
    model = small_model(encoder, {**encoder, "type": "bahdanau", **decoder}).train()
    recorded = record_layers(model)
    batch = make_batch([([4, 5, 6, 7], [7, 8, 9]), ([9, 11], [6, 6])], WORDS)
    loss = model(batch.source_BS, batch.source_length_B, batch.target_input_BT).features_BTD.pow(2).sum()
    assert len(recorded) == 1 + has_penalty
    penalties = [gradient_flow_penalty(loss, [layer]) for layer in recorded]
    assert min(penalties) > 0.01, "also where the encoder's last state alone is read"
    torch.testing.assert_close(gradient_flow_penalty(loss, recorded), sum(penalties))
