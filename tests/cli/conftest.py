"""What the tests of the commands share."""

from functools import partial
from pathlib import Path

import pytest
from fixture_types import RunNmt


@pytest.fixture
def translate(run_nmt: RunNmt, tiny_model: Path) -> RunNmt:
    """``nmt translate`` with ``tiny_model``."""
    return partial(run_nmt, "translate", tiny_model)
