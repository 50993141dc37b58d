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
}


def losses(directory: Path) -> list[float]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["event"] == "train"]


@pytest.fixture(scope="module")
def curves(train_tiny: Callable[..., Path]) -> dict[str, list[float]]:
    return {
        name: losses(train_tiny("training.max_steps=40", "training.log_every=4", *settings))
        for name, settings in TECHNIQUES.items()
    }


@pytest.mark.parametrize("name", ["scheduled sampling", "truncation"])
def test_it_changes_training_and_still_learns(curves: dict[str, list[float]], name: str) -> None:
    assert curves[name][-1] < 0.75 * curves[name][0]
    assert curves[name] != curves["plain"]


def test_truncation_is_exact_in_the_first_loss(curves: dict[str, list[float]]) -> None:
    """Before anything is learned, only gradients differ; the loss of the first update is the same."""
    assert curves["truncation"][0] == pytest.approx(curves["plain"][0], rel=0.02)


def test_the_gradient_flow_penalty_needs_plain_layers(train_tiny: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="plain recurrent"):
        train_tiny("training.gradient_flow=0.1", "training.max_steps=1")


def test_what_does_not_go_together_is_refused(train_tiny: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="truncate doesn't go with"):
        train_tiny("training.truncate=5", "training.r_drop=1", "training.max_steps=1")
