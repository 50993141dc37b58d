"""Every cell and every score learns: a few updates on one batch, and its sentences are nearly known."""

from typing import Any

import pytest
import torch

from nmt.data.batch import Batch
from nmt.models.build import ATTENTIONS
from nmt.models.cells import CELLS
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import token_loss

CHOICES: dict[str, Any] = {
    **{kind: kind for kind in CELLS},
    "learned leaky": {"type": "leaky", "learned": True},
    "identity relu": {"type": "rnn_relu", "init": "identity"},
}


def losses_of_training(model: Seq2Seq, batch: Batch, num_steps: int = 30) -> tuple[float, float]:
    """Mean loss of a token before and after some updates with Adam."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(num_steps):
        unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
        found = token_loss(
            unrolled.features_BTD, model.decoder.output, batch.target_output_BT, batch.target_length_B, smoothing=0.0
        )
        loss = found.smoothed / batch.num_target_tokens
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


@pytest.mark.quick("leaky")
@pytest.mark.parametrize("cell", CHOICES.values(), ids=CHOICES.keys())
def test_a_cell_learns(make_model: Any, batch: Batch, cell: Any) -> None:
    sizes = {"cell": cell, "hidden_size": 16}
    model = make_model({"type": "recurrent", **sizes}, {"type": "bahdanau", **sizes}).train()
    before, after = losses_of_training(model, batch)
    assert after < before / 2


@pytest.mark.quick("dot", "han")
@pytest.mark.parametrize("score", ATTENTIONS)
def test_a_score_learns(make_model: Any, batch: Batch, score: str) -> None:
    options = {"type": "luong", "hidden_size": 16, "attention": {"type": score}}
    model = make_model({"type": "recurrent", "hidden_size": 8}, options).train()
    before, after = losses_of_training(model, batch)
    assert after < before / 2
