"""Starts processes that train."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fork_server import ForkServer


@pytest.fixture(scope="session")
def zygote(python: Path) -> Iterator[ForkServer]:
    """Starts ``nmt`` processes that need no time to import."""
    if sys.platform != "linux":
        pytest.skip("needs fork and /proc of Linux")
    made = ForkServer(python)
    yield made
    made.close()
