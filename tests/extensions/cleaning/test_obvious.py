"""Pairs that are no translations beyond doubt."""

from nmt.extensions.cleaning.obvious import without_errors

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
