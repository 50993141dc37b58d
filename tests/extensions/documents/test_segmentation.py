"""Texts as sentences and what is between them."""

from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.vocabulary.words import WordVocabulary
from nmt.extensions.documents.markup import Translate, translate_content
from nmt.extensions.documents.segmentation import sentences_of_line, split_sentences, with_tags
from nmt.extensions.documents.tags import text_of
from tests.extensions.documents.conftest import by


def sentences_of(text: str, language: str = "en") -> list[str]:
    return [segment.text for segment in split_sentences(text, language) if segment.is_sentence]


def translate_text(text: str, translate: Translate, language: str = "en") -> str:
    [content] = translate_content([[text]], translate, language)
    return text_of(content)


def test_sentences_end_at_marks_and_lines() -> None:
    text = "Dr. Smith went out.  He slept!\nA new line"
    assert sentences_of(text) == ["Dr. Smith went out.", "He slept!", "A new line"]
    assert sentences_of("Das war z.B. am 3. Mai. Danach nicht.", "de") == ["Das war z.B. am 3. Mai.", "Danach nicht."]


def test_a_mark_inside_a_name_or_code_ends_no_sentence() -> None:
    text = "It is an ASP.NET server, see :class:`~a.b.Server` and ``'?'``. It runs."
    assert sentences_of(text) == [text.removesuffix(" It runs."), "It runs."]
    assert sentences_of("你好!我是ASP.NET。再见?好。", "zh") == ["你好!", "我是ASP.NET。", "再见?", "好。"]


def test_a_line_with_no_mark_before_its_end_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentencex.segment", Mock(side_effect=AssertionError("some languages take long")))
    assert sentences_of(" Ein Hund (braun), ein Kind. ", "da") == ["Ein Hund (braun), ein Kind."]
    monkeypatch.undo()
    assert sentences_of("Ja. !!") == ["Ja."]


def test_what_has_no_letters_is_no_sentence() -> None:
    assert sentences_of("🙂 !!\n\n---\n \t") == []


@given(st.text(alphabet="aé. !?\n\r\t\u2028\u00a0日。🙂", max_size=60))
def test_segments_are_the_text(text: str) -> None:
    segments = split_sentences(text)
    assert "".join(segment.text for segment in segments) == text
    assert all(segment.text == segment.text.strip() for segment in segments if segment.is_sentence)


def test_sentences_without_space_between_them_get_one() -> None:
    assert translate_text("これです。それです。", by(lambda _: "It is."), "ja") == "It is. It is."
    assert translate_text("これです。それです。", by(str.upper), "ja") == "これです。それです。"
    assert translate_text("これです。それです。", by(lambda _: "네"), "ja") == "네 네"
    assert translate_text("これです。それです。", by(lambda _: "Yes 🙂"), "ja") == "Yes 🙂 Yes 🙂"


def test_sentences_of_scripts_without_spaces_lose_the_space_between_them() -> None:
    assert translate_text("It is.  It is. 3\nNo. Yes. ", by(lambda _: "是。")) == "是。是。 3\n是。是。 "
    assert translate_text("It is. It is.", by(lambda _: "東京㈱")) == "東京㈱東京㈱", "a symbol, but no emoji"
    for end in ("”", '"', "’", "…", "——", "(好)"):
        assert translate_text("It is. It is.", by(lambda _, end=end: f"是。{end}")) == f"是。{end}" * 2
    assert translate_text("これです。それです。", by(lambda _: "“Yes.”"), "ja") == "“Yes.” “Yes.”"


def test_tags_hold_until_others_come() -> None:
    vocabulary = WordVocabulary(["▁a", "<2en>", "<2fr>"])
    sentences = ["a", "<2en> b", "c", "<2fr> d", "e"]
    assert with_tags(sentences, vocabulary.after_tags) == ["a", "<2en> b", "<2en> c", "<2fr> d", "<2fr> e"]
    divided = sentences_of_line("<2en> <2fr> Ja.\t!!\tNein!\t<2fr> Oder? Doch.", "de", vocabulary.after_tags)
    assert divided == ["<2en> <2fr> Ja.\t!!", "<2en> <2fr> Nein!", "<2fr> Oder?", "<2fr> Doch."]
