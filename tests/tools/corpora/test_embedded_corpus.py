"""The generator of the embedded corpus gives the shipped file byte for byte."""

import sys
from pathlib import Path

import pytest
from make_embedded_corpus import main

from nmt.quickstart.embedded_corpus import PATH


@pytest.mark.slow
def test_the_shipped_file_is_generated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another corpus would change the figures published for quickstart."""
    monkeypatch.setattr(sys, "argv", ["make_embedded_corpus.py", "-o", str(tmp_path / "again")])
    main()
    assert (tmp_path / "again").read_bytes() == PATH.read_bytes()
