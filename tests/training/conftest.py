"""Reads checkpoints, and starts processes that train."""

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
