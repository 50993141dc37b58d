"""Requests as JSON, what search gets of them, and lexicons of unknown words."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.data.vocabulary.words import WordVocabulary
from nmt.translation.request import OutputConstraints, Request, read_unknown_lexicon


def test_a_request_as_json() -> None:
    line = '{"source": "Ein Hund", "must_contain": ["A"], "terms": {"Hund": "hound"}, "translation": "x"}'
    assert Request.from_json(line, 1) == Request("Ein Hund", must_contain=("A",), terms={"Hund": "hound"})
    with pytest.raises(UserError, match=r"line 3 of the input, terms, Hund"):
        Request.from_json('{"source": "Ein Hund", "terms": {"Hund": 1}}', 3)


def test_search_gets_the_marks_that_end_sentences_with_phrases() -> None:
    vocabulary = WordVocabulary(["▁dog", ".", "▁!", ",", "▁..."])
    ends = {vocabulary.token(i) for i in Request("a", must_contain=("dog",)).constraints(vocabulary).full_stops}
    assert ends == {".", "▁!", "▁..."}
    assert not Request("a", prefix="dog").constraints(vocabulary).full_stops


def test_a_phrase_may_be_spelt_in_other_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Request("a", must_contain=("cafe\u0301  noir", "thé")).check(1, "un caf\u00e9 noir")
    assert "'thé' could not be made part" in (shown := capsys.readouterr().err)
    assert "noir" not in shown


@pytest.mark.parametrize("phrase", ["", "  "])
def test_an_empty_phrase_can_not_be_forbidden(phrase: str) -> None:
    with pytest.raises(UserError, match="forbidden phrase is empty"):
        OutputConstraints(["dog", phrase])


def test_a_lexicon_is_pairs_and_of_several_lines_with_a_word_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "lexicon"
    path.write_text("Hund\tdog\tNOUN\n\n Katze \t cat \nHund\thound\n", encoding="utf-8")
    lexicon = read_unknown_lexicon(path)
    assert lexicon == {"Hund": "dog", "Katze": "cat"}
    translated = OutputConstraints(unknown_lexicon={**lexicon, "hund": "hound"}).translated
    assert [translated(word) for word in ("Hund", "HUND", "Maus")] == ["dog", "hound", "Maus"]
    path.write_text("Haus\thouse\nHund dog\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2"):
        read_unknown_lexicon(path)
