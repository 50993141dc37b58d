"""Pairs that are no translations beyond doubt."""

import pytest

from nmt.autotrain.texts import Texts
from nmt.extensions.cleaning.obvious import check_text, without_errors

GOOD = [
    ("Der alte Lehrer kauft heute ein rotes Buch.", "The old teacher buys a red book today."),
    ("Wir haben gestern lange auf den Zug gewartet.", "Yesterday we waited for the train for a long time."),
] * 10


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


def test_held_out_pairs_that_are_trained_on_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    other = ("Ein anderer Satz steht nur hier.", "Another sentence is only here.")
    check_text(Texts(GOOD, [GOOD[0], other], [other], languages=("de", "en")), keep_all=True)
    errors = capsys.readouterr().err
    assert "1 of 2 pairs for validation are in the training text" in errors
    assert "for test" not in errors
