"""Real processes, really killed: what is resumed ends bit for bit as what was never stopped."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kill_runs
import pytest
from kill_runs import differences

from nmt.training.checkpoint import CheckpointFolder

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


@pytest.mark.slow
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
        # 0: on a busy machine the run can end before the signal comes.
        assert status in (-kind, 128 + kind, 0), f"{kind} gave {status}:\n{messages.read_text()}"
    pid = zygote.start(messages, command(directory, max_steps))
    assert zygote.wait(pid) == 0, messages.read_text()
    assert "Traceback" not in messages.read_text()
    assert differences(directory, whole(max_steps)) == []


@pytest.mark.slow
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
    assert differences(directory, whole(60)) == []


@pytest.mark.slow
def test_every_kind_of_command_survives_kills(zygote: Any, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    killer = kill_runs.run(tmp_path / "base", num_kills=40, seed=3, only=None)
    assert killer.problems == []
    assert killer.kills.total() >= 40
    assert all(killer.compared[command.name] for command in kill_runs.commands())


def test_a_difference_in_any_file_is_noticed(tiny_model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "run")
    assert differences(copy, tiny_model) == []
    for path in sorted(path for path in copy.rglob("*") if path.is_file() and path.name != ".lock"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"loss": ', b'"loss": 1', 1) if b'"loss": ' in content else content[:-9])
        assert any(
            str(path.relative_to(copy)) in name or name.endswith("sums") for name in differences(copy, tiny_model)
        )
        path.write_bytes(content)
