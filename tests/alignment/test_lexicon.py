"""The lexicon of a model directory: its file, and the order of translations."""

from pathlib import Path

import pytest

from nmt.alignment.lexicon import Lexicon, word_key
from nmt.core.errors import UserError


def test_translations_are_ordered_by_their_counts() -> None:
    lexicon = Lexicon({"hund": {"cat": 0.04, "hound": 0.05, "dog": 3.0}})
    assert lexicon.translations("Hund,", 2) == ["dog", "hound"]
    assert lexicon.translations("Katze", 2) == []


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("की।", "की"),
        ("«Café»", "café"),
        ("cafe\u0301!", "cafe\u0301"),
        ("שָׁלוֹם,", "שָׁלוֹם"),
        ("...", "..."),
        ("a!\u0301!", "a"),
    ],
)
def test_the_marks_of_the_last_letter_belong_to_a_word(word: str, key: str) -> None:
    assert word_key(word) == key


def test_a_lexicon_without_words_has_probabilities() -> None:
    assert Lexicon({}).probability(["a"], ["b"]).shape == (1, 1)


@pytest.mark.parametrize("line", ["hund dog 1", "hund\tdog", "hund\tdog\tmany", "hund\tdog\tinf", "hund\tdog\t0", ""])
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text(f"hund\tdog\t1\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"lexicon\.tsv, line 2"):
        Lexicon.load(path)
