"""Small recipes for the tiny corpus, and what the tests ask of a trained model directory."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fork_server import ForkServer, has_ended
from torch import Tensor

from nmt.models.weights import read_tensors
from nmt.recipe.options import validate
from nmt.recipe.schema import Recipe

RNN = {"type": "recurrent", "cell": "gru", "hidden_size": 48}
ATTENTION = {"type": "additive", "size": 32}
TRANSFORMER = {"type": "transformer", "num_layers": 1, "num_heads": 4, "feed_forward_size": 128}

SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vanilla": (
        {**RNN, "cell": "lstm", "reverse": True},
        {**RNN, "cell": "lstm", "hidden_size": 96, "bridge": "copy"},
    ),
    "bahdanau": (RNN, {**RNN, "type": "bahdanau", "attention": ATTENTION}),
    "luong": (RNN, {**RNN, "type": "luong", "attention": {"type": "general"}}),
    "luong with feeding": (RNN, {**RNN, "type": "luong", "attention": {"type": "general"}, "input_feeding": True}),
    "transformer": (TRANSFORMER, TRANSFORMER),
    "universal_transformer": ({"type": "universal_transformer", "num_heads": 4, "feed_forward_size": 128}, TRANSFORMER),
}

RecipeMaker = Callable[..., Recipe]


@pytest.fixture
def make_recipe(tiny_corpus: Path) -> RecipeMaker:
    """``make_recipe(system, dropout=0.0, recipe=…, **training)``: seven batches an epoch unless told otherwise."""

    def make(
        system: str = "luong", dropout: float = 0.0, recipe: dict[str, Any] | None = None, **training: Any
    ) -> Recipe:
        encoder, decoder = SYSTEMS[system]
        schedule = training.pop("schedule", {})
        values = {
            "device": "cpu",
            "data": {"root": str(tiny_corpus), "source": "de", "target": "en"},
            "vocabulary": {"type": "word", "size": 200},
            "model": {
                "embedding_size": 32,
                "tie": "target",
                "encoder": {**encoder, "dropout": dropout},
                "decoder": {**decoder, "dropout": dropout},
            },
            "training": {
                "batch_tokens": 64,
                "learning_rate": 0.01,
                "schedule": {"warmup_steps": 5} | ({"type": schedule} if isinstance(schedule, str) else schedule),
                "precision": "fp32",
                "metric": "loss",
                "log_every": 2,
                **training,
            },
        }
        for group, changes in (recipe or {}).items():
            values[group] = {**values[group], **changes} if isinstance(changes, dict) and group in values else changes
        return validate(Recipe, values, "the test's recipe")

    return make


@pytest.fixture
def read_metrics() -> Callable[..., list[dict[str, Any]]]:
    """``read_metrics(directory, event)``: the lines of metrics.jsonl, all of them or those of one event."""

    def read(directory: Path, event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
        return [line for line in lines if event in (None, line["event"])]

    return read


@pytest.fixture
def read_checkpoint() -> Callable[[Path, int], tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]]:
    """``read_checkpoint(directory, step)``: weights, the other tensors, and the numbers of the state but the clocks."""

    def read(directory: Path, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
        folder = directory / "checkpoints" / f"step-{step:06d}"
        state = json.loads((folder / "state.json").read_text("utf-8"))
        for group, texts_and_clocks in {
            "progress": ["seconds"],
            "meter": ["elapsed", "waiting_seconds"],
            "batches": ["corpus"],
        }.items():
            for key in texts_and_clocks:
                state[group].pop(key)
        return read_tensors(folder / "weights.safetensors"), read_tensors(folder / "training.safetensors"), state

    return read


class Zygote(ForkServer):
    """``nmt`` processes that need no time to import, and where their runs are."""

    @staticmethod
    def last_step(directory: Path) -> int:
        """The newest step in the log of a run; 0 before there is one."""
        path = directory / "metrics.jsonl"
        lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
        return int(json.loads(lines[-1])["step"]) if lines else 0

    def wait_for_step(self, pid: int, directory: Path, step: int) -> None:
        """Until the log has come to a step, or the process has ended."""
        while self.last_step(directory) < step and not has_ended(pid):
            time.sleep(0.005)


@pytest.fixture(scope="session")
def zygote(python: Path) -> Iterator[Zygote]:
    if sys.platform != "linux":
        pytest.skip("needs fork and /proc of Linux")
    made = Zygote(python)
    yield made
    made.close()
