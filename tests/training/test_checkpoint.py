"""Checkpoints: whole or not there, whatever happens while they are written."""

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nmt.core.errors import UserError
from nmt.models.weights import weights_of
from nmt.training.checkpoint import CheckpointFolder, damage, step_of


def save_steps(folder: CheckpointFolder, *steps: int) -> None:
    for step in steps:
        weights = {name: torch.full_like(weight, step) for name, weight in weights_of(nn.Linear(2, 3)).items()}
        folder.save(step, weights, {"moment": {"a": torch.tensor([step])}}, {"step": step})


def disk_full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_half(path: Path, content: bytes) -> None:
    """Half of the file gets onto the disk before it is full."""
    with path.open("wb") as file:
        file.write(content[:50])
    disk_full()


@pytest.mark.parametrize(
    ("owner", "call", "failing"),
    [(Path, "write_bytes", write_half), (os, "replace", disk_full), (os, "fsync", disk_full),
     (Path, "write_text", disk_full)],
)  # fmt: skip
def test_a_full_disk_leaves_the_checkpoint_before_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, call: str, failing: Callable[..., None]
) -> None:
    folder = CheckpointFolder(tmp_path, keep_last=1)
    save_steps(folder, 10)
    monkeypatch.setattr(owner, call, failing)
    with pytest.raises(UserError, match=r"checkpoints.*can't be written: no space.*\n.*go on with --resume"):
        save_steps(folder, 20)
    (kept,) = folder.all()
    model = nn.Linear(2, 3)
    tensors, state = CheckpointFolder.load(kept, model)
    assert (model.bias == 10.0).all()
    assert (tensors["moment"]["a"].item(), state["step"]) == (10, 10)
    assert os.listdir(tmp_path / "checkpoints") == ["step-000010"]


def test_the_newest_are_kept_beyond_a_million_steps(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last=2)
    save_steps(folder, 999_998, 999_999, 1_000_000, 1_000_001)
    assert [path.name for path in folder.all()] == ["step-1000000", "step-1000001"]


def test_what_is_incomplete_or_has_another_name_is_no_checkpoint(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    save_steps(folder, 10)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "step-000030").mkdir()  # copied without its state
    (checkpoints / "step-000010 (copy)").mkdir()
    (checkpoints / "step-000010 (copy)" / "state.json").write_text("{}")
    assert [path.name for path in folder.all()] == ["step-000010"]


def save_validated(folder: CheckpointFolder, higher_is_better: bool, values: dict[int, float | None]) -> None:
    for step, value in values.items():
        validation = {"value": value, "higher_is_better": higher_is_better}
        folder.save(step, weights_of(nn.Linear(2, 3)), {}, {"validation": validation})


def test_the_best_stay_beside_the_newest(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last=1, keep_best=2)
    save_validated(folder, True, {1: 10.0, 2: 30.0, 3: 20.0, 4: 25.0, 5: -3.0, 6: 9.0})
    assert [step_of(path) for path in folder.all()] == [2, 4, 6]
    assert [step_of(path) for path in folder.best()] == [2, 4, 6]


def test_only_figures_on_one_validation_text_are_compared(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last=9)
    save_validated(folder, True, {1: 40.0})  # before texts were recorded
    for step, text, value in ((2, "easy", 50.0), (3, "hard", 20.0), (4, "hard", 30.0)):
        state = {"validation": {"value": value, "higher_is_better": True}, "validated_on": text}
        folder.save(step, weights_of(nn.Linear(2, 3)), {}, state)
    assert [step_of(path) for path in folder.best()] == [1, 4, 3]


def test_where_lower_is_better_the_lowest_is_best_and_of_equals_the_first(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last=1, keep_best=1)
    save_validated(folder, False, {1: 3.0, 2: 2.0, 3: 2.0, 4: None})
    folder.save(5, weights_of(nn.Linear(2, 3)), {}, {"validation": None})
    assert [step_of(path) for path in folder.all()] == [2, 5]


def test_the_sums_are_what_sha256sum_checks(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    save_steps(folder, 10)
    (checkpoint,) = folder.all()
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=checkpoint, check=True)
    assert damage(checkpoint) == ""


@pytest.mark.parametrize("file", ["weights.safetensors", "training.safetensors", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("how", ["cut off", "one bit", "empty", "gone"])
def test_every_damage_is_noticed_and_named(tmp_path: Path, file: str, how: str) -> None:
    folder = CheckpointFolder(tmp_path)
    save_steps(folder, 10, 20)
    path = folder.all()[-1] / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut off": path.read_bytes()[:-1], "one bit": bytes(content), "empty": b""}[how])
    if file != "SHA256SUMS" and how == "cut off":
        with pytest.raises(UserError, match=rf"step-000020/{file} is damaged"):
            CheckpointFolder.load(folder.at(20), nn.Linear(2, 3))
    if file == "SHA256SUMS" and how in ("gone", "cut off"):  # nothing to compare with; a line break less says the same
        assert folder.newest_intact() == folder.at(20)
    else:
        assert folder.newest_intact() == folder.at(10)
        assert [path.name for path in folder.all()] == ["step-000010"]
        assert (tmp_path / "checkpoints" / "damaged-000020").is_dir()


def test_when_all_are_damaged_none_is_touched(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    save_steps(folder, 10, 20)
    for path in folder.all():
        (path / "training.safetensors").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(UserError, match=r"Every checkpoint in .*checkpoints is damaged"):
            folder.newest_intact()
    assert len(folder.all()) == 2
