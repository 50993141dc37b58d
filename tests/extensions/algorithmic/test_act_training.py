"""Models that ponder, refused and in training."""

from typing import Any

import pytest
from fixture_types import MetricsReader, TrainTiny

from nmt.core.errors import UserError


def test_act_refuses_a_cell_whose_states_have_no_mean(make_model: Any) -> None:
    pondering = {"type": "act_rnn", "hidden_size": 8, "cell": "clockwork"}
    for encoder, decoder in (
        (pondering, {"type": "bahdanau", "hidden_size": 8}),
        ({"type": "recurrent", "hidden_size": 8}, pondering),
    ):
        with pytest.raises(UserError, match="the cell clockwork have no mean"):
            make_model(encoder, decoder)


def test_ponder_steps_are_shown_beside_their_penalty(train_tiny: TrainTiny, read_metrics: MetricsReader) -> None:
    """Each token takes from one step to ``max_steps``; the penalty is τ (N + R), with R in (0, 1]."""
    pondering = "type: act_rnn, hidden_size: 16, max_steps: 4"
    settings = [
        f"model.encoder={{{pondering}, time_penalty: 0}}",
        f"model.decoder={{{pondering}, time_penalty: 0.01, attention: {{type: additive}}}}",
    ]
    lines = read_metrics(train_tiny("training.max_steps=3", "training.log_every=1", *settings), "train")
    assert len(lines) == 3
    for line in lines:
        assert 1 <= line["source_ponder"] <= 4
        assert 1 <= line["target_ponder"] <= 4
        assert 0.01 * line["target_ponder"] < line["ponder"] <= 0.01 * (line["target_ponder"] + 1) + 1e-5
