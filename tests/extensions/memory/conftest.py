"""A model directory of its own."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the model, into which a memory may be written."""
    return shutil.copytree(tiny_model, tmp_path / "model")
