"""Real processes, really killed: what is resumed ends bit for bit as what was never stopped."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.models.weights import read_tensors
from nmt.training.checkpointing.checkpoint import CheckpointFolder, damage

SETTINGS = [
    "model.encoder.dropout=0.2", "model.decoder.dropout=0.2", "training.ema=0.9", "training.accumulate=2",
    "training.schedule={type: plateau, patience: 0, warmup_steps: 5, min_learning_rate: 1e-30}",
    "training.validate_every=6", "training.checkpoint_every=4",
    "training.keep_best=2", "training.log_every=1", "decoding.beam_size=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def command(tiny_recipe: Path) -> Callable[..., list[str]]:
    def make(directory: Path, max_steps: int) -> list[str]:
        settings = [f"--set={setting}" for setting in (*SETTINGS, f"training.max_steps={max_steps}")]
        return ["train", str(tiny_recipe), "-o", str(directory), "--resume", *settings]

    return make


@pytest.fixture(scope="module")
def whole(zygote: Any, command: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A run of so many updates that nothing stopped."""
    made: dict[int, Path] = {}

    def get(max_steps: int) -> Path:
        if max_steps not in made:
            made[max_steps] = directory = tmp_path_factory.mktemp("whole") / "run"
            pid = zygote.start(directory.with_name("messages"), command(directory, max_steps))
            assert zygote.wait(pid) == 0, directory.with_name("messages").read_text()
        return made[max_steps]

    return get


def assert_same_run(ours: Path, theirs: Path, step: int) -> None:
    """Weights, moments, average, random states, place in the data, best models, and curves without a seam."""
    for name in (f"checkpoints/step-{step:06d}/weights", f"checkpoints/step-{step:06d}/training", "model"):
        one, two = (read_tensors(directory / f"{name}.safetensors") for directory in (ours, theirs))
        assert one.keys() == two.keys()
        assert [key for key in one if not torch.equal(one[key], two[key])] == []
    one, two = (comparable_state(directory / "checkpoints" / f"step-{step:06d}") for directory in (ours, theirs))
    assert one == two
    assert curves(ours) == curves(theirs)
    assert [path.name for path in CheckpointFolder(ours).all()] == [p.name for p in CheckpointFolder(theirs).all()]
    for part in ("", "checkpoints", "samples"):
        assert sorted(os.listdir(ours / part)) == sorted(os.listdir(theirs / part))
    assert [damage(path) for path in CheckpointFolder(ours).all() if damage(path)] == []


def comparable_state(checkpoint: Path) -> dict[str, Any]:
    state = json.loads((checkpoint / "state.json").read_text("utf-8"))
    for group, clock in (("progress", "seconds"), ("meter", "elapsed"), ("meter", "waiting_seconds")):
        state[group].pop(clock)
    return dict(state)


def curves(directory: Path) -> list[dict[str, Any]]:
    """The lines of the log without clocks and memory, and without where it was resumed."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    measured = ("seconds", "tokens_per_second", "waiting_for_data", "peak_memory_mb")
    return [{k: v for k, v in line.items() if k not in measured} for line in lines if line["event"] != "resume"]


@pytest.mark.parametrize(
    ("kills", "max_steps"), [(4, 60), pytest.param(20, 240, marks=pytest.mark.slow)], ids=["4 kills", "20 kills"]
)
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(
    zygote: Any, whole: Any, command: Any, tmp_path: Path, kills: int, max_steps: int
) -> None:
    directory, messages, rng = tmp_path / "run", tmp_path / "messages", random.Random(kills)
    for number in range(kills):
        kind = (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)[number % 4]
        pid = zygote.start(messages, command(directory, max_steps))
        if rng.random() < 0.8:
            zygote.wait_for_step(pid, directory, zygote.last_step(directory) + rng.randint(1, 9))
        time.sleep(rng.random() * 0.1)
        os.kill(pid, kind)
        status = zygote.wait(pid)
        assert status in (-kind, 128 + kind), f"{kind} gave {status}:\n{messages.read_text()}"
    pid = zygote.start(messages, command(directory, max_steps))
    assert zygote.wait(pid) == 0, messages.read_text()
    assert "Traceback" not in messages.read_text()
    assert_same_run(directory, whole(max_steps), max_steps)


def test_a_full_disk_costs_only_what_came_after_the_last_checkpoint(
    zygote: Any, whole: Any, command: Any, tmp_path: Path
) -> None:
    directory, messages = tmp_path / "run", tmp_path / "messages"
    pid = zygote.start(messages, command(directory, 60))
    zygote.wait_for_step(pid, directory, 10)
    os.kill(pid, signal.SIGTERM)
    assert zygote.wait(pid) == 143
    before = [path.name for path in CheckpointFolder(directory).all()]
    weights = directory / "checkpoints" / before[-1] / "weights.safetensors"
    pid = zygote.start(messages, command(directory, 60), largest_file=weights.stat().st_size // 2)
    assert zygote.wait(pid) == 2
    text = messages.read_text()
    assert "can't be written: file too large" in text
    assert "Free some space" in text
    assert "--resume" in text
    assert "Traceback" not in text
    assert [path.name for path in CheckpointFolder(directory).all()] == before
    pid = zygote.start(messages, command(directory, 60))
    assert zygote.wait(pid) == 0, messages.read_text()
    assert_same_run(directory, whole(60), 60)
