"""A sample of the bombs of ``tools/checks/torture.py``: each is refused with a remedy, or read."""

import random
from collections import Counter
from pathlib import Path

import hostile_bombs
import pytest
from hostile_bombs import BODIES

from nmt.core.errors import UserError
from nmt.extensions.documents.formats import sentences_of_document


def outcome_of_document(path: Path) -> str:
    """What comes of a document, or the remedy of the message that refuses it."""
    try:
        if path.suffix == ".tmx":
            from nmt.extensions.memory.files import read_memory

            read_memory(path, "en", "de")
        else:
            sentences_of_document(path.name, path.read_bytes())
    except UserError as error:
        return error.remedy
    return "read"


@pytest.mark.quick(".docx")
@pytest.mark.parametrize(
    "ending", [*sorted(BODIES.keys() - {".tmx"}), pytest.param(".tmx", marks=pytest.mark.extension("memory"))]
)
def test_documents_that_expand_are_refused_or_read(ending: str, tmp_path: Path) -> None:
    outcomes = Counter[str]()
    for seed in range(30):
        how, text = hostile_bombs.xml(ending, random.Random(seed))
        if how.endswith(", 100"):  # the small ones
            if ending in hostile_bombs.PARTS:
                text = hostile_bombs.archive([hostile_bombs.entry(ending, text)])
            (path := tmp_path / f"a{ending}").write_bytes(text)
            outcomes[outcome_of_document(path)] += 1
    assert outcomes["read"] >= (ending != ".tmx")
    assert outcomes.keys() - {"read"} or ending == ".html"
    assert "" not in outcomes
