"""What training runs have written: the lines of their log, and their checkpoints."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nmt.models.weights import read_tensors


def read_metrics(directory: Path, event: str | None = None) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, all of them or those of one event."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [line for line in lines if event in (None, line["event"])]


def read_checkpoint(directory: Path, step: int) -> tuple[dict[str, Any], ...]:
    """The weights of a checkpoint, its other tensors, and the numbers of its state but the clocks."""
    folder = directory / "checkpoints" / f"step-{step:06d}"
    state = json.loads((folder / "state.json").read_text("utf-8"))
    texts_and_clocks = {"progress": ["seconds"], "meter": ["elapsed", "waiting_seconds"], "batches": ["corpus"]}
    for group, keys in texts_and_clocks.items():
        for key in keys:
            state[group].pop(key)
    del state["validated_on"]  # a text
    return read_tensors(folder / "weights.safetensors"), read_tensors(folder / "training.safetensors"), state


def assert_same_run(one: Path, other: Path, step: int, events: Sequence[str] = ("train",)) -> None:
    """Two runs have come to a step in the same way: bit for bit the same checkpoints, and the same losses of events."""
    torch.testing.assert_close(*(read_checkpoint(directory, step) for directory in (one, other)), rtol=0, atol=0)
    for event in events:
        losses = [[(line["step"], line["loss"]) for line in read_metrics(run, event)] for run in (one, other)]
        assert losses[0] == losses[1]
