"""Two processes on the CPU train as one does with twice the batches, and end together; what signals do."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker
from fork_server import has_ended, variables_of_ranks
from run_files import assert_same_run, read_checkpoint, read_metrics

from nmt.core.errors import UserError
from nmt.models.weights import read_tensors
from nmt.training.checkpoint import CheckpointFolder, damage, step_of
from nmt.training.distributed import Interrupts, ProcessGroup


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

    def start(recipe: str, directory: Path, size: int = 2) -> list[int]:
        arguments = ["train", recipe, "-o", str(directory), "--resume"]
        return [
            zygote.start(tmp_path / f"messages-{rank}", arguments, **variables)
            for rank, variables in enumerate(variables_of_ranks(size))
        ]

    return start


def wait_for_step(pid: int, directory: Path, step: int) -> None:
    """Until the log of a run, which has a line for each update, has come to a step, or the process has ended."""
    log = directory / "metrics.jsonl"
    while not has_ended(pid) and not (log.exists() and f'"step": {step},' in log.read_text("utf-8")):
        time.sleep(0.005)


def ends(zygote: Any, pids: list[int], seconds: float = 300) -> list[int]:
    """The exit codes of processes; those that haven't ended in time are killed."""

    def kill() -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        return [zygote.wait(pid) for pid in pids]
    finally:
        timer.cancel()


def messages(tmp_path: Path) -> list[str]:
    """What each process has written, without the lines in which older versions of Gloo count its peers."""
    texts = (path.read_text() for path in sorted(tmp_path.glob("messages-*")))
    return [re.sub(r"^\[Gloo\] Rank \d+ is connected .*\n", "", text, flags=re.MULTILINE) for text in texts]


SAMPLED = {
    "recipe": {"vocabulary": {"type": "unigram", "size": 90}},
    "techniques": {"subword_sampling": {"alpha": 0.2}},
}
"""Each rank draws the pieces of an epoch by itself: the ranks must agree on where batches begin."""
GUIDED = {"techniques": {"guided_alignment": {"links": "learned"}}, "log_every": 1}


@pytest.mark.quick("sampled")
@pytest.mark.parametrize(
    ("accumulate", "changes"),
    [
        (1, {"metric": "bleu"}),
        (2, {}),
        *(pytest.param(1, changes, marks=pytest.mark.extension("techniques")) for changes in (SAMPLED, GUIDED)),
    ],
    ids=["bleu", "accumulate", "sampled", "guided"],
)
def test_two_processes_are_one_with_twice_the_batches(
    write_recipe: Any, start: Any, zygote: Any, tmp_path: Path, accumulate: int, changes: dict[str, Any]
) -> None:
    # Without a large eps, Adam makes whole steps of gradients that are zero but for rounding (biases of keys).
    options = {"system": "transformer", "max_steps": 12, "validate_every": 4, "schedule": {"warmup_steps": 0}}
    options |= {"optimizer": {"eps": 1e-3}, **changes}
    together, alone = tmp_path / "together", tmp_path / "alone"
    for pid in start(write_recipe(**options, accumulate=accumulate), together):
        assert zygote.wait(pid) == 0, messages(tmp_path)
    for pid in start(write_recipe(**options, accumulate=2 * accumulate), alone, size=1):
        assert zygote.wait(pid) == 0, messages(tmp_path)
    one, two = (read_tensors(directory / "model.safetensors") for directory in (alone, together))
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
    one, two = (read_checkpoint(directory, 12)[2] for directory in (alone, together))
    assert two["divergence"]["mean"] == pytest.approx(one["divergence"]["mean"], rel=1e-5)  # of all losses
    close = {key: pytest.approx(one["validation"][key], rel=1e-5) for key in ("value", "loss")}
    assert two["validation"] == {**one["validation"], **close}
    assert two["batches"] == one["batches"]
    for event in ("train", "epoch", "valid"):
        for theirs, ours in zip(read_metrics(alone, event), read_metrics(together, event), strict=True):
            for key in ("step", "epoch", "loss", "gradient_norm", "padding", "best", "alignment"):
                assert ours.get(key) == pytest.approx(theirs.get(key), abs=2e-4)
    samples = [sorted((directory / "samples").glob("*")) for directory in (alone, together)]
    assert [path.read_text("utf-8") for path in samples[0]] == [path.read_text("utf-8") for path in samples[1]]


@pytest.mark.parametrize(
    "variables",
    [{}, {"RANK": "x"}, {"RANK": "2"}, {"RANK": "1", "LOCAL_RANK": ""}, {"RANK": "1"}, {"RANK": "1", "WORLD_SIZE": ""}],
    ids=str,
)
def test_incomplete_variables_of_torchrun_are_refused(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"WORLD_SIZE": "2"} | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="the environment says"), ProcessGroup.joined("cpu"):
        pass


@pytest.mark.quick("0")
@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_to_one_ends_both_at_the_same_update_and_they_go_on_exactly(
    write_recipe: Any, start: Any, zygote: Any, tmp_path: Path, signalled: int
) -> None:
    """With dropout, so with random states that differ between the two."""
    options = {"dropout": 0.3, "ema": 0.5, "validate_every": 10_000, "log_every": 1}
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    pids = start(write_recipe(max_steps=10_000, **options), broken)
    wait_for_step(pids[0], broken, 7)
    os.kill(pids[signalled], signal.SIGTERM)
    assert [zygote.wait(pid) for pid in pids] == [143, 143], messages(tmp_path)
    (stopped,) = CheckpointFolder(broken).all()
    tensors = read_tensors(stopped / "training.safetensors")
    assert not torch.equal(tensors["random-0/cpu"], tensors["random-1/cpu"])
    last = step_of(stopped) + 5
    for directory in (broken, whole):
        for pid in start(write_recipe(max_steps=last, **options), directory):
            assert zygote.wait(pid) == 0, messages(tmp_path)
    assert_same_run(broken, whole, last)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.quick("1")
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_with_a_message_and_the_run_can_go_on(
    write_recipe: Any, start: Any, zygote: Any, tmp_path: Path, killed: int
) -> None:
    recipe, directory = write_recipe(max_steps=10_000, checkpoint_every=3, log_every=1), tmp_path / "run"
    pids = start(recipe, directory)
    wait_for_step(pids[0], directory, 5)
    os.kill(pids[killed], signal.SIGKILL)
    statuses = ends(zygote, pids)
    assert statuses[killed] == -signal.SIGKILL
    assert statuses[1 - killed] == 2
    text = messages(tmp_path)[1 - killed]
    assert f"Process {1 - killed} has lost the others" in text
    assert "resume with --resume" in " ".join(text.split())
    for foreign in ("Traceback", "pytorch", "gloo", "c10d", "frame #"):  # its names of files mean nothing here
        assert foreign not in text
    # And on, with one process where there were two.
    last = step_of(CheckpointFolder(directory).all()[-1])
    (pid,) = start(write_recipe(max_steps=last + 3, checkpoint_every=3, log_every=1), directory, size=1)
    assert zygote.wait(pid) == 0, messages(tmp_path)
    assert [line["step"] for line in read_metrics(directory, "train")] == list(range(1, last + 4))


@pytest.mark.slow
def test_when_torchrun_is_killed_its_processes_stop_with_a_checkpoint(
    write_recipe: Any, zygote: Any, tmp_path: Path
) -> None:
    recipe, directory = write_recipe(max_steps=100_000, checkpoint_every=100_000, log_every=1), tmp_path / "run"
    arguments = ["train", recipe, "-o", str(directory)]
    started = [
        zygote.start_through(tmp_path / f"messages-{rank}", arguments, **variables)
        for rank, variables in enumerate(variables_of_ranks(2))
    ]
    wait_for_step(started[0][1], directory, 5)
    for between, pid in reversed(started):  # rank 1 first, as if torchrun had ended on its machine alone
        os.kill(between, signal.SIGKILL)
        assert ends(zygote, [between, pid]) == [-signal.SIGKILL, 143], messages(tmp_path)
    first, second = messages(tmp_path)
    assert "SIGTERM: stopped, checkpoint saved" in first
    assert "Traceback" not in first
    assert second == ""
    step = step_of(CheckpointFolder(directory).all()[-1])
    assert step >= 5
    assert damage(CheckpointFolder(directory).at(step)) == ""


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


@pytest.mark.posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts_as_before(number: signal.Signals) -> None:
    acted = []
    before = signal.signal(number, lambda *_: acted.append(True))
    try:
        with Interrupts() as interrupts:
            assert interrupts.received is None
            signal.raise_signal(number)
            assert interrupts.received == number
            assert not acted
            signal.raise_signal(number)
            assert acted
    finally:
        signal.signal(number, before)


def test_a_signal_that_torchrun_passes_on_again_is_the_same_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interrupts(repeated=3.0) as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.received == signal.SIGINT
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 3.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_mean_what_they_meant_when_all_is_over() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_thread_other_than_the_main_one_may_train() -> None:
    def received() -> int | None:
        with Interrupts() as interrupts:
            return interrupts.received

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(received).result() is None
