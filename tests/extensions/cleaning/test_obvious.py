"""Languages of a text, told by names or identified, and pairs that are no translations beyond doubt."""

import pytest

from nmt.autotrain.texts import Texts
from nmt.core.errors import UserError
from nmt.extensions.cleaning.languages import check_languages, identified
from nmt.extensions.cleaning.obvious import check_text, without_errors

GOOD = [
    ("Der alte Lehrer kauft heute ein rotes Buch.", "The old teacher buys a red book today."),
    ("Wir haben gestern lange auf den Zug gewartet.", "Yesterday we waited for the train for a long time."),
] * 10
GERMAN, ENGLISH = (list(side) for side in zip(*GOOD, strict=True))


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


def test_pairs_that_are_no_translations_are_dropped_and_counted() -> None:
    bad = [
        ("Ein Satz.", " "),
        ("", "A sentence."),
        ("Some text left as it is.", "Some text left as it is."),
        ("Ja.", "Yes, and then he went on to say a great many other things about the weather of that day."),
        ("Это предложение на другом языке.", "This sentence is in another language."),
    ]
    kept, dropped = without_errors([*GOOD, *bad])
    assert kept == GOOD
    assert dropped == {"empty": 2, "identical": 1, "lengths that don't fit": 1, "another script": 1}


def test_pairs_in_doubt_stay() -> None:
    doubtful = [
        ("OK", "OK"),
        ("Nein.", "No, it is not."),
        ("C3PO", "C3PO"),
        ("東京 Tokyo und Berlin", "Tokyo and Berlin"),
    ]
    assert without_errors([*GOOD, *doubtful]) == ([*GOOD, *doubtful], {})


@pytest.mark.parametrize("shift", [0, 1])
def test_lines_that_do_not_stand_beside_their_translations_are_told(
    capsys: pytest.CaptureFixture[str], shift: int
) -> None:
    sides = [[("ein", "one")[side] + " x" * (7 * n % 40) for n in range(200)] for side in (0, 1)]
    check_text(texts(sides[0], sides[1][shift:] + sides[1][:shift], ("de", "en")), keep_all=True)
    assert ("as in files that are misaligned" in capsys.readouterr().err) == bool(shift)


def test_held_out_pairs_that_are_trained_on_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    other = ("Ein anderer Satz steht nur hier.", "Another sentence is only here.")
    check_text(Texts(GOOD, [GOOD[0], other], [other], languages=("de", "en")), keep_all=True)
    errors = capsys.readouterr().err
    assert "1 of 2 pairs for validation are in the training text" in errors
    assert "for test" not in errors


@pytest.mark.parametrize(
    ("line", "is_told"), [("Wir gehen zurÃ¼ck.", True), ("Meier &amp; Co.", True), ("AT&T; FUNÇÃO &c", False)]
)
def test_wrongly_converted_lines_and_entities_are_told(
    capsys: pytest.CaptureFixture[str], line: str, is_told: bool
) -> None:
    check_text(texts([*GERMAN, line], [*ENGLISH, "We go back."], ("de", "en")), keep_all=True)
    errors = capsys.readouterr().err
    assert ("2% of the lines have wrongly converted" in errors and repr(line) in errors) == is_told
    check_text(texts([*GERMAN * 9, line], [*ENGLISH * 9, "We go back."], ("de", "en")), keep_all=True)
    assert capsys.readouterr().err == "", "one of many lines"
