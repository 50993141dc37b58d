"""``nmt train`` as a user sees it: what it writes, and that it stops and goes on as it should; ``nmt recipes``."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused
from run_files import read_metrics

from nmt.recipe.load import find_recipe, load_recipe, shipped_recipes


def test_resume_without_a_checkpoint_says_so_and_starts(run_nmt: RunNmt, tiny_recipe: Path, tmp_path: Path) -> None:
    done = run_nmt("train", tiny_recipe, "-o", tmp_path / "run", "--resume", "--set", "training.max_steps=1")
    assert done.returncode == 0
    assert "no checkpoint to resume from" in done.stderr


@pytest.mark.posix
def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on(
    run_nmt: RunNmt, python: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    output = tmp_path / "a run"
    command = [python, "-m", "nmt", "train", tiny_recipe, "-o", output, "--set", "training.max_steps=1000000"]
    command += ["--set", "training.validate_every=1000000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (output / "metrics.jsonl").exists() or not read_metrics(output, "train"):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
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


def test_recipes_are_listed_and_each_can_be_read(run_nmt: RunNmt) -> None:
    lines = run_nmt("recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_recipes())
    for name, line in zip(shipped_recipes(), lines, strict=True):
        assert line.removeprefix(name).strip() == load_recipe(name).description != ""


def test_a_recipe_is_printed_as_it_is_shipped(run_nmt: RunNmt) -> None:
    done = run_nmt("recipes", "multi30k/luong")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == find_recipe("multi30k/luong").read_text("utf-8")


def test_only_recipes_are_printed(run_nmt: RunNmt, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("no recipe")
    for name, problem in (("multi30k/loung", "multi30k/luong"), (tmp_path / "secret.txt", "holds no keys")):
        refused(run_nmt("recipes", name), problem)
