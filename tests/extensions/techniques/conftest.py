"""The text that techniques change."""

import itertools
from pathlib import Path

import pytest

from nmt.data.cache import EncodedCorpus, encode_corpus
from nmt.data.dialogue import LineReader
from nmt.data.sources import FileText, ReadText
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.recipe.schema import VocabularyOptions


@pytest.fixture
def text(tiny_corpus: Path) -> FileText:
    return FileText(tiny_corpus / "train.de", tiny_corpus / "train.en")


@pytest.fixture
def vocabularies(text: FileText) -> Vocabularies:
    return train_vocabularies(VocabularyOptions(size=100), text)


@pytest.fixture
def corpus(text: FileText, vocabularies: Vocabularies) -> EncodedCorpus:
    return encode_corpus(text, vocabularies, 99)


@pytest.fixture
def dialogues(tmp_path: Path, text: FileText) -> ReadText:
    """Turns, each with the turn before; the target translates the later one."""
    turns = [source for source, _ in text]
    (tmp_path / "d.de").write_text("".join(f"{a}\t{b}\n" for a, b in itertools.pairwise(turns)))
    (tmp_path / "d.en").write_text("".join(f"{b}\n" for b in turns[1:]))
    return ReadText(FileText(tmp_path / "d.de", tmp_path / "d.en"), LineReader(1))
