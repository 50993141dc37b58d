"""A translator."""

from pathlib import Path

import pytest

from nmt.translation.load import load
from nmt.translation.translator import Translator


@pytest.fixture(scope="module")
def translator(tiny_model: Path) -> Translator:
    return load(tiny_model, "cpu")
