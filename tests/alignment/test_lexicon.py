"""The lexicon of a model directory: its file, and the order of translations."""

from pathlib import Path

import pytest

from nmt.alignment.lexicon import Lexicon
from nmt.core.errors import UserError


def test_translations_are_ordered_by_their_counts() -> None:
    lexicon = Lexicon({"hund": {"cat": 0.04, "hound": 0.05, "dog": 3.0}})
    assert lexicon.translations("Hund,", 2) == ["dog", "hound"]
    assert lexicon.translations("Katze", 2) == []


def test_a_lexicon_without_words_has_probabilities() -> None:
    assert Lexicon({}).probability(["a"], ["b"]).shape == (1, 1)


@pytest.mark.parametrize("line", ["hund dog 1", "hund\tdog", "hund\tdog\tmany", "hund\tdog\tinf", "hund\tdog\t0", ""])
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text(f"hund\tdog\t1\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"lexicon\.tsv, line 2"):
        Lexicon.load(path)
