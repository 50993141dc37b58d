"""The text that techniques change."""

import itertools
from pathlib import Path

import pytest

from nmt.data.dialogue import LineReader
from nmt.data.sources import FileText, ReadText


@pytest.fixture
def text(tiny_corpus: Path) -> FileText:
    return FileText(tiny_corpus / "train.de", tiny_corpus / "train.en")


@pytest.fixture
def dialogues(tmp_path: Path, text: FileText) -> ReadText:
    """Turns, each with the turn before; the target translates the later one."""
    turns = [source for source, _ in text]
    (tmp_path / "d.de").write_text("".join(f"{a}\t{b}\n" for a, b in itertools.pairwise(turns)))
    (tmp_path / "d.en").write_text("".join(f"{b}\n" for b in turns[1:]))
    return ReadText(FileText(tmp_path / "d.de", tmp_path / "d.en"), LineReader(1))
