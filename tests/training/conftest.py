"""Reads checkpoints, and starts processes that train."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fork_server import ForkServer, has_ended


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
