"""Two processes on the CPU train as one does with twice the batches, and end together."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config import Recipe
from nmt.models.weights import read_tensors
from nmt.training.checkpointing.checkpoint import CheckpointFolder
from nmt.training.distributed import ProcessGroup

RecipeMaker = Callable[..., Recipe]
MetricsReader = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def write_recipe(make_recipe: RecipeMaker, tmp_path: Path) -> Callable[..., str]:
    """``write_recipe(**training)``: the file of a recipe."""

    def write(**options: Any) -> str:
        path = tmp_path / f"recipe-{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(make_recipe(**options).to_yaml(), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def start(zygote: Any, tmp_path: Path) -> Callable[..., list[int]]:
    """``start(recipe, directory, size)``: processes that train together, as torchrun starts them; their PIDs."""

    def start(recipe: str, directory: Path, size: int = 2, largest_file: int | None = None) -> list[int]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = ["train", recipe, "-o", str(directory), "--resume"]
        return [
            zygote.start(
                tmp_path / f"messages-{rank}", arguments, None if rank else largest_file,
                RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=size, MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
            )
            for rank in range(size)
        ]  # fmt: skip

    return start


def messages(tmp_path: Path) -> list[str]:
    return [path.read_text() for path in sorted(tmp_path.glob("messages-*"))]


def state_of(directory: Path, step: int) -> dict[str, Any]:
    path = directory / "checkpoints" / f"step-{step:06d}" / "state.json"
    return dict(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize(("accumulate", "metric"), [(1, "bleu"), (2, "loss")])
def test_two_processes_are_one_with_twice_the_batches(
    write_recipe: Any, start: Any, zygote: Any, read_metrics: MetricsReader, tmp_path: Path, accumulate: int,
    metric: str,
) -> None:  # fmt: skip
    # Without a large eps, Adam makes whole steps of gradients that are zero but for rounding (biases of keys).
    options = {
        "system": "transformer",
        "max_steps": 12,
        "validate_every": 4,
        "schedule": {"warmup_steps": 0},
        "optimizer": {"eps": 1e-3},
    }
    options |= {"metric": metric}
    together, alone = tmp_path / "together", tmp_path / "alone"
    for pid in start(write_recipe(**options, accumulate=accumulate), together):
        assert zygote.wait(pid) == 0, messages(tmp_path)
    for pid in start(write_recipe(**options, accumulate=2 * accumulate), alone, size=1):
        assert zygote.wait(pid) == 0, messages(tmp_path)
    one, two = (read_tensors(directory / "model.safetensors") for directory in (alone, together))
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
    one, two = (state_of(directory, 12) for directory in (alone, together))
    assert two["divergence"]["mean"] == pytest.approx(one["divergence"]["mean"], rel=1e-5)  # of all losses
    assert two["validation"] == {**one["validation"], "value": pytest.approx(one["validation"]["value"], rel=1e-5)}
    assert two["batches"] == one["batches"]
    for event in ("train", "epoch", "valid"):
        for theirs, ours in zip(read_metrics(alone, event), read_metrics(together, event), strict=True):
            for key in ("step", "epoch", "loss", "gradient_norm", "padding", "best"):
                assert ours.get(key) == pytest.approx(theirs.get(key), abs=2e-4)
    samples = [sorted((directory / "samples").glob("*")) for directory in (alone, together)]
    assert [path.read_text("utf-8") for path in samples[0]] == [path.read_text("utf-8") for path in samples[1]]


def test_only_the_first_process_speaks(write_recipe: Any, start: Any, zygote: Any, tmp_path: Path) -> None:
    for pid in start(write_recipe(max_steps=2), tmp_path / "run"):
        assert zygote.wait(pid) == 0
    first, second = messages(tmp_path)
    assert "2 processes, cpu" in first
    assert second == ""


def test_a_layer_may_be_left_out_by_one_process_alone(
    write_recipe: Any, start: Any, zygote: Any, read_metrics: MetricsReader, tmp_path: Path
) -> None:
    options = {"type": "transformer", "num_layers": 2, "num_heads": 4, "feed_forward_size": 32, "layer_drop": 0.5}
    model = {"embedding_size": 32, "tie": "target", "encoder": options, "decoder": options}
    recipe = write_recipe(max_steps=6, accumulate=2, log_every=1, recipe={"model": model})
    for pid in start(recipe, tmp_path / "run"):
        assert zygote.wait(pid) == 0, messages(tmp_path)
    assert all(line["loss"] > 0 for line in read_metrics(tmp_path / "run", "train"))


@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_to_one_ends_both_at_the_same_update_and_they_go_on_exactly(
    write_recipe: Any, start: Any, zygote: Any, tmp_path: Path, signalled: int
) -> None:
    """With dropout, so with random states that differ between the two."""
    options = {"dropout": 0.3, "ema": 0.5, "validate_every": 20, "log_every": 1}
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    pids = start(write_recipe(max_steps=20, **options), broken)
    zygote.wait_for_step(pids[0], broken, 7)
    os.kill(pids[signalled], signal.SIGTERM)
    assert [zygote.wait(pid) for pid in pids] == [143, 143], messages(tmp_path)
    (stopped,) = CheckpointFolder(broken).all()
    tensors = read_tensors(stopped / "training.safetensors")
    assert not torch.equal(tensors["random/cpu"], tensors["random-1/cpu"])
    for directory in (broken, whole):
        for pid in start(write_recipe(max_steps=20, **options), directory):
            assert zygote.wait(pid) == 0, messages(tmp_path)
    for name in ("model", "checkpoints/step-000020/weights", "checkpoints/step-000020/training"):
        one, two = (read_tensors(directory / f"{name}.safetensors") for directory in (broken, whole))
        torch.testing.assert_close(one, two, rtol=0, atol=0)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_with_a_message_and_the_run_can_go_on(
    write_recipe: Any, start: Any, zygote: Any, read_metrics: MetricsReader, tmp_path: Path, killed: int
) -> None:
    recipe, directory = write_recipe(max_steps=10_000, checkpoint_every=3, log_every=1), tmp_path / "run"
    pids = start(recipe, directory)
    zygote.wait_for_step(pids[0], directory, 5)
    os.kill(pids[killed], signal.SIGKILL)
    signal.alarm(60)  # a hang would be a failure
    statuses = [zygote.wait(pid) for pid in pids]
    signal.alarm(0)
    assert statuses[killed] == -signal.SIGKILL
    assert statuses[1 - killed] == 2
    text = messages(tmp_path)[1 - killed]
    assert f"Process {1 - killed} has lost the others" in text
    assert "go on with --resume" in " ".join(text.split())
    assert "Traceback" not in text
    # And on, with one process where there were two.
    last = int(CheckpointFolder(directory).all()[-1].name.removeprefix("step-"))
    (pid,) = start(write_recipe(max_steps=last + 3, checkpoint_every=3, log_every=1), directory, size=1)
    assert zygote.wait(pid) == 0, messages(tmp_path)
    assert [line["step"] for line in read_metrics(directory, "train")] == list(range(1, last + 4))


def test_a_full_disk_ends_both(write_recipe: Any, start: Any, zygote: Any, tmp_path: Path) -> None:
    pids = start(write_recipe(max_steps=9, checkpoint_every=3), tmp_path / "run", largest_file=100_000)
    assert [zygote.wait(pid) for pid in pids] == [2, 2]
    first, second = messages(tmp_path)
    assert "can't be written: file too large" in first
    assert "Process 1 has lost the others" in second


def test_more_processes_than_before_get_random_numbers_of_their_own(
    write_recipe: Any, start: Any, zygote: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    for size, max_steps in ((1, 3), (2, 6)):
        for pid in start(write_recipe(max_steps=max_steps, dropout=0.2), directory, size=size):
            assert zygote.wait(pid) == 0, messages(tmp_path)
    tensors = read_tensors(directory / "checkpoints" / "step-000006" / "training.safetensors")
    assert not torch.equal(tensors["random/cpu"], tensors["random-1/cpu"])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 12])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_what_is_shared_out_comes_back_in_order(count: int, size: int) -> None:
    items = list(range(count))
    parts = [ProcessGroup(rank, size).share(items) for rank in range(size)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert ProcessGroup(0, size).merge(parts) == items


@pytest.mark.posix
@pytest.mark.slow
def test_torchrun_starts_it_and_passes_ctrl_c_on(write_recipe: Any, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "nmt"]
    command += ["train", write_recipe(max_steps=100_000, log_every=1), "-o", str(directory)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (directory / "metrics.jsonl").exists() or (directory / "metrics.jsonl").read_text().count("\n") < 5:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=120)
    assert "SIGINT: stopped, checkpoint saved" in text
    assert CheckpointFolder(directory).all()
