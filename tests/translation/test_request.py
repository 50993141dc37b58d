"""Lexicons of unknown words."""

from pathlib import Path

from nmt.translation.request import OutputConstraints, read_unknown_lexicon


def test_of_several_lines_with_a_word_the_first_counts(tmp_path: Path) -> None:
    (tmp_path / "lexicon").write_text("Hund\tdog\tNOUN\n\n Katze \t cat \nHund\thound\n", encoding="utf-8")
    lexicon = read_unknown_lexicon(tmp_path / "lexicon")
    assert lexicon == {"Hund": "dog", "Katze": "cat"}
    translated = OutputConstraints(unknown_lexicon={**lexicon, "hund": "hound"}).translated
    assert [translated(word) for word in ("Hund", "HUND", "Maus")] == ["dog", "hound", "Maus"]
