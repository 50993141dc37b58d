"""Languages of a text: told by names, or identified."""

import pytest

from nmt.autotrain.texts import Texts
from nmt.core.errors import UserError
from nmt.extensions.cleaning.languages import check_languages, identified

GERMAN = ["Der alte Lehrer kauft heute ein rotes Buch.", "Wir haben gestern lange auf den Zug gewartet."] * 10
ENGLISH = ["The old teacher buys a red book today.", "Yesterday we waited for the train for a long time."] * 10


def texts(source: list[str], target: list[str], languages: tuple[str, str] | None = None) -> Texts:
    return Texts(list(zip(source, target, strict=True)), languages=languages, names=("a.de", "a.en"))


def test_languages_are_told_by_names_or_identified(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_languages(texts(GERMAN, ENGLISH)) == ("de", "en")
    assert check_languages(texts(GERMAN, ENGLISH, ("de", "en"))) == ("de", "en")
    assert capsys.readouterr().err == ""
    assert check_languages(texts(GERMAN, ENGLISH, ("de", "fr"))) == ("de", "fr")
    assert "a.en seems to be English, not French" in capsys.readouterr().err
    assert check_languages(texts(["x"] * 9, ["y"] * 9)) == ("source", "target")
    assert "can't be told" in capsys.readouterr().err
    assert check_languages(texts(GERMAN, [line.upper() for line in GERMAN], ("de", "en"))) == ("de", "en")
    assert "both sides seem to be German" in capsys.readouterr().err
    assert identified(["Guten Tag"]) is None


def test_swapped_sides_and_copies_are_refused() -> None:
    with pytest.raises(UserError, match=r"a\.de seems to be German, and a\.en English|a\.de seems to be English"):
        check_languages(texts(GERMAN, ENGLISH, ("en", "de")))
    with pytest.raises(UserError, match="the same as in"):
        check_languages(texts(GERMAN, GERMAN))


def test_text_without_letters_or_lines_has_no_language(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"{one}q{other}x" for one in "bcdfg" for other in "hjklmn"] * 3
    assert identified(words) != "zxx"
    assert check_languages(texts([""] * 9 + ["eins"], [""] * 9 + ["one"], ("de", "en"))) == ("de", "en")  # no copies
