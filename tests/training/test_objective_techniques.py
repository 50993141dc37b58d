"""The techniques of the objective in real training runs: each changes what is learned, and each learns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import UserError

TECHNIQUES = {
    "plain": [],
    "scheduled sampling": ["training.scheduled_sampling={schedule: linear, k: 1.0, c: 0.01, floor: 0.3}"],
    "truncation": ["training.truncate=2"],
    "gradient flow": ["model.encoder.cell=rnn_tanh", "training.gradient_flow=0.1"],
}


def training_lines(directory: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == "train"]


@pytest.fixture(scope="module")
def curves(train_tiny: Callable[..., Path]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: training_lines(train_tiny("training.max_steps=40", "training.log_every=1", *settings))
        for name, settings in TECHNIQUES.items()
    }


@pytest.mark.parametrize("name", ["scheduled sampling", "truncation", "gradient flow"])
def test_it_changes_training_and_still_learns(curves: dict[str, list[dict[str, Any]]], name: str) -> None:
    losses = [line["loss"] for line in curves[name]]
    assert sum(losses[-4:]) < 0.75 * sum(losses[:4])
    assert losses != [line["loss"] for line in curves["plain"]]


def test_truncation_is_exact_in_the_first_loss(curves: dict[str, list[dict[str, Any]]]) -> None:
    """Before anything is learned, only gradients differ; the loss of the first update is the same."""
    assert curves["truncation"][0]["loss"] == pytest.approx(curves["plain"][0]["loss"], rel=1e-4)


def test_the_gradient_flow_penalty_is_shown(curves: dict[str, list[dict[str, Any]]]) -> None:
    assert all(line["gradient_flow"] > 0 for line in curves["gradient flow"])
    assert all("gradient_flow" not in line for line in curves["plain"])


def test_ponder_steps_are_shown_beside_their_penalty(train_tiny: Callable[..., Path]) -> None:
    """Each token takes from one step to ``max_steps``; the penalty is τ (N + R), with R in (0, 1]."""
    pondering = "type: act_rnn, hidden_size: 16, max_steps: 4"
    settings = [
        f"model.encoder={{{pondering}, time_penalty: 0}}",
        f"model.decoder={{{pondering}, time_penalty: 0.01, attention: {{type: additive}}}}",
    ]
    for line in training_lines(train_tiny("training.max_steps=3", "training.log_every=1", *settings)):
        assert 1 <= line["source_ponder"] <= 4
        assert 1 <= line["target_ponder"] <= 4
        assert 0.01 * line["target_ponder"] < line["ponder"] <= 0.01 * (line["target_ponder"] + 1) + 1e-5


def test_the_gradient_flow_penalty_needs_plain_layers(train_tiny: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="plain recurrent"):
        train_tiny("training.gradient_flow=0.1", "training.max_steps=1")


def test_what_does_not_go_together_is_refused(train_tiny: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="truncate doesn't go with"):
        train_tiny("training.truncate=5", "training.r_drop=1", "training.max_steps=1")


def test_truncation_refuses_a_ponder_cost_that_it_would_leave_out(train_tiny: Callable[..., Path]) -> None:
    pondering = "model.decoder={type: act_rnn, hidden_size: 16, attention: {type: additive}, time_penalty: %s}"
    with pytest.raises(UserError, match="extra loss") as caught:
        train_tiny("training.truncate=2", "training.max_steps=1", pondering % 0.01)
    assert "time_penalty to 0" in caught.value.remedy
    train_tiny("training.truncate=2", "training.max_steps=1", pondering % 0)
