"""Plain text that is markup is told of once."""

import pytest

from nmt.extensions.documents.detection import MarkupDetector


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["<p>A <b>dog</b></p><p>A cat</p>"], "html"),
        (['msgid "Dog"', 'msgstr ""', "", 'msgid "Cat"', 'msgstr ""'], "po"),
        (["1", "00:00:01,000 --> 00:00:02,000", "A dog", *["00:00:03,000 --> 00:00:04,000"] * 2], "srt"),
        (["<source>A dog</source>", "<source>A cat</source><target></target>"], "xliff"),
        (["# Dogs", "See [here](a.html).", "## Cats"], "md"),
        (["See :func:`open`.", ".. note:: x", "It is ``None``."], "reStructuredText"),
    ],
)
def test_markup_is_told_of_once(lines: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    detector = MarkupDetector()
    for line in lines * 2:
        detector.add(line)
    told = capsys.readouterr().err
    assert told.count("Warning") == 1
    assert expected in told


def test_text_about_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    detector = MarkupDetector()
    for line in ["A <b> or a </b>.", "5 < 6 > 4 # no", "a --> b", "* a *", "<unk> <2de>", "msgid is a key."]:
        detector.add(line)
    assert capsys.readouterr().err == ""
