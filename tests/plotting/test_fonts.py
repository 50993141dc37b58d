"""What a picture shows of words: invisible characters, and the fonts of scripts."""

import logging

import pytest

from nmt.plotting import fonts
from nmt.plotting.fonts import font_families, visible


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("Haus", "Haus"),
        ("", "∅"),
        ("a b\u3000c", "a␣b␣c"),
        ("\u0301x", "◌\u0301x"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u200c", "\\u200c"),
        ("\u2028", "\\u2028"),
        ("x" * 42, "x" * 42),
        ("x" * 43, "x" * 41 + "…"),
    ],
)
def test_visible(word: str, shown: str) -> None:
    assert visible(word) == shown


def test_fonts_are_chosen_by_what_they_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    covered = {"DejaVu Sans": "abc", "Kana": "かな", "Half": "猫か", "Both": "かな猫", "Thai": "ก"}
    monkeypatch.setattr(fonts, "_coverage", lambda family: frozenset(covered[family]))
    monkeypatch.setattr(fonts, "_candidates", lambda scripts: ["Kana", "Half", "Both", "Thai"])
    assert font_families(["abc"]) == ["DejaVu Sans"]
    assert font_families(["猫か", "ก"]) == ["DejaVu Sans", "Kana", "Half", "Thai"]
    assert font_families(["猫"]) == ["DejaVu Sans", "Half"]


def test_characters_without_a_font_are_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fonts, "_warned", set())
    monkeypatch.setattr(fonts, "_candidates", lambda scripts: ["DejaVu Sans"])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            font_families(["猫", "は", "ไก่", "cat"])
    (message,) = [record.getMessage() for record in caplog.records]
    assert "cjk ('猫'), hiragana ('は'), thai ('ก')" in message
    assert "apt install fonts-noto-core fonts-noto-cjk" in message
