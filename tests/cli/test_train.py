"""``nmt train`` as a user sees it: what it writes, and that it stops, goes on and refuses as it should."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from fixture_types import RunNmt
from runs import read_metrics


def start_training(python: Path, recipe: Path, output: Path) -> "subprocess.Popen[str]":
    """A process that trains without an end, past its first line of figures."""
    command = [python, "-m", "nmt", "train", recipe, "-o", output, "--set", "training.max_steps=1000000"]
    command += ["--set", "training.validate_every=1000000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not (output / "metrics.jsonl").exists() or not read_metrics(output, "train"):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_resume_without_a_checkpoint_says_so_and_starts(run_nmt: RunNmt, tiny_recipe: Path, tmp_path: Path) -> None:
    done = run_nmt("train", tiny_recipe, "-o", tmp_path / "run", "--resume", "--set", "training.max_steps=1")
    assert done.returncode == 0
    assert "no checkpoint to resume from" in done.stderr


@pytest.mark.posix
def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on(
    run_nmt: RunNmt, python: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    output = tmp_path / "a run"
    process = start_training(python, tiny_recipe, output)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in messages
    assert "SIGINT: stopped, checkpoint saved; resume with: nmt train" in messages
    assert f"-o '{output}' --set training.max_steps=1000000" in messages, "the command must repeat the settings"
    [checkpoint] = (output / "checkpoints").iterdir()
    step = int(checkpoint.name.removeprefix("step-"))
    assert run_nmt("translate", output, stdin="Der Hund schläft.\n").returncode == 0

    done = run_nmt("train", tiny_recipe, "-o", output, "--resume", "--set", f"training.max_steps={step + 3}")
    assert done.returncode == 0
    assert f"resumed at step {step}" in done.stderr
    assert read_metrics(output, "end")[-1]["step"] == step + 3
