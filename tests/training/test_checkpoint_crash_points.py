"""A process that is ended before any single file operation of a checkpoint loses nothing.

The work is done in a process of the zygote, which forks a process for each operation: that one works on a copy of the
folder and ends itself before the n-th operation (opening for writing, sync, rename, deletion, new folder), n = 1, 2, …
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nmt.core.model_directory import ModelDirectory
from nmt.models.weights import load_weights, save_weights, weights_of
from nmt.training.checkpoint import CheckpointFolder, step_of

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "fsync", "half a file"}
FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def end_before(number: int, folder: Path) -> None:
    """End this process before an operation with this number changes the folder."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, (str, bytes, os.PathLike)) or not flags & FOR_WRITING:
                return
            if not os.fsdecode(path).startswith(str(folder)):
                return
        elif event not in CHANGES:
            return
        count += 1
        if count == number:
            os._exit(9)

    real_fsync, real_write = os.fsync, Path.write_bytes

    def fsync(descriptor: int) -> None:
        hook("fsync", ())
        real_fsync(descriptor)

    def write_in_halves(path: Path, content: bytes) -> int:
        real_write(path, content[: len(content) // 2])
        hook("half a file", ())
        return real_write(path, content)

    os.fsync, Path.write_bytes = fsync, write_in_halves  # type: ignore[assignment, method-assign]
    sys.addaudithook(hook)


def crashes(work: Callable[[Path], Any], before: Path, scratch: Path) -> Iterator[Path]:
    """What a folder is like after ``work`` has ended before its first, second, … operation; last after all of them."""
    number, exit_code = 0, 9
    while exit_code:
        number += 1
        folder = scratch / "crashed" / before.name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        pid = os.fork()
        if not pid:
            end_before(number, folder)
            work(folder)
            os._exit(0)
        exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert exit_code in (0, 9)
        yield folder


def save(folder: Path, step: int, value: float) -> None:
    """A checkpoint and the best model, both of which hold the value."""
    model = {name: torch.full_like(weight, value) for name, weight in weights_of(nn.Linear(3, 2)).items()}
    CheckpointFolder(folder, keep_last=1).save(step, model, {"moment": {"a": torch.tensor([value])}}, {"value": value})
    save_weights(model, folder / "model.safetensors")


def crash_while_saving(scratch: Path, step: int) -> None:
    """There is a checkpoint at step 10 with the value 1; one at ``step`` with the value 2 comes in its place."""
    before = scratch / "run"
    before.mkdir()
    save(before, 10, 1.0)
    values = []
    for folder in crashes(lambda folder: save(folder, step, 2.0), before, scratch):
        with ModelDirectory(folder).writing():
            newest = CheckpointFolder(folder).newest_intact()
        model = nn.Linear(3, 2)
        tensors, state = CheckpointFolder.load(newest, model)
        values.append(state["value"])
        assert model.bias[0] == tensors["moment"]["a"][0] == values[-1]
        assert step_of(newest) == (10 if values[-1] == 1.0 else step)
        load_weights(model, folder / "model.safetensors")
        assert model.bias[0] in (values[-1], 1.0)  # never newer than what is resumed from
        assert {path.name for path in (folder / "checkpoints").iterdir()} <= {"step-000010", f"step-{step:06d}"}
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "checkpoints", "model.safetensors"]
    assert values == sorted(values)
    assert set(values) == {1.0, 2.0}


@pytest.mark.quick("a later update")
@pytest.mark.parametrize("step", [10, 20], ids=["the same update again", "a later update"])
def test_no_operation_of_saving_a_checkpoint_can_lose_the_last_one(zygote: Any, tmp_path: Path, step: int) -> None:
    """The work is done in a process that can be forked fast."""
    code = f"import os, pathlib, runpy\ntests = runpy.run_path({__file__!r})\n"
    code += f"tests['crash_while_saving'](pathlib.Path({str(tmp_path)!r}), {step})\nos._exit(0)"
    messages = tmp_path / "messages"
    assert zygote.wait(zygote.start(messages, [], before=code)) == 0, messages.read_text()[-3000:]


@pytest.mark.slow
@pytest.mark.extension("shards")
def test_every_kind_of_command_survives_kills(zygote: Any, tmp_path: Path) -> None:
    """Real processes, really killed: what is resumed ends bit for bit as what was never stopped."""
    import kill_runs

    (tmp_path / "base").mkdir()
    killer = kill_runs.run(tmp_path / "base", num_kills=40, seed=3, only=None)
    assert killer.problems == []
    assert killer.kills.total() >= 40
    assert all(killer.compared[command.name] for command in kill_runs.commands())
