"""Languages of a text, and pairs that are dropped beyond doubt."""

import pytest

from nmt.autotrain.checks import check_languages, identified, without_errors
from nmt.autotrain.texts import Texts
from nmt.core.errors import UserError

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


def test_pairs_that_are_no_translations_are_dropped_and_counted() -> None:
    good = list(zip(GERMAN, ENGLISH, strict=True))
    bad = [
        ("Ein Satz.", " "),
        ("", "A sentence."),
        ("Some text left as it is.", "Some text left as it is."),
        ("Ja.", "Yes, and then he went on to say a great many other things about the weather of that day."),
        ("Это предложение на другом языке.", "This sentence is in another language."),
    ]
    kept, dropped = without_errors([*good, *bad])
    assert kept == good
    assert dropped == {"empty": 2, "identical": 1, "lengths that don't fit": 1, "another script": 1}
    doubtful = [
        ("OK", "OK"),
        ("Nein.", "No, it is not."),
        ("C3PO", "C3PO"),
        ("東京 Tokyo und Berlin", "Tokyo and Berlin"),
    ]
    assert without_errors([*good, *doubtful]) == ([*good, *doubtful], {})
