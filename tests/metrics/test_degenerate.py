"""Planted faults are found, and good text is left in peace."""

from pathlib import Path

import pytest

from nmt.metrics.degenerate import DegenerateCount, count_degenerate, degenerate, loops

GOOD = "Two men are standing on a red bridge and look at the river."
SOURCE = "Zwei Männer stehen auf einer roten Brücke und schauen auf den Fluss."
CHINESE = "两个男人站在一座红色的桥上看着河。"
CHANT = "Olé olé olé olé olé olé!"
TURNS = "\t".join(["Guten Tag, ich hätte gern einen Tisch für zwei Personen am Freitag."] * 4)
LONG = " ".join(f"Wort{n}" for n in range(30))
HUNDRED = "x" * 100


@pytest.mark.parametrize(
    ("text", "source", "reference", "kind"),
    [
        (GOOD, SOURCE, None, None),
        ("", SOURCE, None, "empty"),
        (" \t ", SOURCE, None, "empty"),
        (SOURCE, SOURCE, None, "copy"),
        (SOURCE.upper(), SOURCE, None, "copy"),
        (SOURCE, f"{GOOD}\t{SOURCE}", None, "copy"),
        ("Two men are a red red red red red bridge.", SOURCE, None, "loop"),
        ("in front of a fence, in front of a fence, in front of a fence", SOURCE, None, "loop"),
        ("他在他在他在他在他在他在他在他在他在他在他在", SOURCE, None, "loop"),
        ("No, no, no, no!", SOURCE, None, None),
        ("Very, very good. - - - - - - - - - -", SOURCE, None, None),
        ("One two three four. " + " ".join(f"word{n} and" for n in range(60)), SOURCE, None, "long"),
        # Too short is measured by the reference, and else by the source; an answer to several turns may be short.
        ("A word.", LONG, None, "short"),
        ("A word.", LONG, "A short word.", None),
        ("A word.", None, LONG, "short"),
        ("A word.", None, None, None),
        ("Ok.", TURNS, None, None),
        # What the source or the reference does is no fault.
        (CHANT, None, None, "loop"),
        (CHANT, "Olé olé olé olé olé olé, singen sie.", None, None),
        (CHANT, SOURCE, CHANT, None),
        (SOURCE, SOURCE, SOURCE, None),
        ("", "", None, None),
        ("New York City", "New York City", None, None),
        # Lengths are extreme beyond four times and eighty bytes; scripts of many bytes are not.
        ("y" * 480, None, HUNDRED, None),
        ("y" * 481, None, HUNDRED, "long"),
        ("ü" * 241, None, HUNDRED, "long"),
        (HUNDRED, None, "y" * 480, None),
        (HUNDRED, None, "y" * 481, "short"),
        (CHINESE, GOOD * 3, None, None),
        (GOOD * 3, CHINESE * 3, None, None),
    ],
)
def test_what_is_wrong(text: str, source: str | None, reference: str | None, kind: str | None) -> None:
    assert degenerate(text, source, reference) == kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no " * 4 + "yes", False),
        ("no " * 5 + "yes", True),
        ("No, no. NO – no! no?", True),
        ("ab cd " * 2, False),
        ("ab cd " * 3, True),
        (" ".join("abcdefghijkl") + " " + " ".join("abcdefghijkl" * 2), True),
        (" ".join("abcdefghijklm" * 3), False),
        ("x" + "a" * 19, False),
        ("x" + "a" * 20, True),
        ("x" + "abcde" * 4, False),
        ("x" + "abcd" * 5, True),
        ("x" + "abc" * 6, False),
        ("x" + "abcdefghijklmnopqrstuvwxyzäöüß" * 5, True),
        ("x" + "abcdefghijklmnopqrstuvwxyzäöüßé" * 5, False),
        ("=" * 40, False),
    ],
)
def test_the_rule_of_repetitions(text: str, expected: bool) -> None:
    assert loops(text) is expected


def test_counts_name_the_first_lines() -> None:
    texts = [GOOD, "", SOURCE, GOOD, "", "", "", GOOD]
    count = count_degenerate(texts, [SOURCE] * len(texts))
    assert count.lines == {"loop": [], "copy": [3], "empty": [2, 5, 6, 7], "long": [], "short": []}
    assert count.share == 5 / 8
    assert count.is_serious
    assert count.summary() == (
        "5 of 8 translations (62.5%) look degenerate: 1 copies its source (line 3), 4 are empty (lines 2, 5, 6 …)"
    )
    assert DegenerateCount().summary() == count_degenerate([GOOD]).summary() == ""


def test_a_line_of_many_words_is_checked() -> None:
    """Where the time grows with the square of the length, .ci/run ends the test."""
    assert degenerate(" ".join(f"word{n % 977}" for n in range(20_000))) is None


@pytest.mark.parametrize("split", ["test_2016_flickr", "val", pytest.param("train", marks=pytest.mark.slow)])
def test_real_references_and_training_text_are_good(shared_data: Path, split: str) -> None:
    """The limits are chosen so that not one of 30,000 human translations is complained of."""
    de, en = ((shared_data / "multi30k" / f"{split}.{side}").read_text("utf-8").splitlines() for side in ("de", "en"))
    assert len(de) >= 1000
    assert count_degenerate(en, de).num_degenerate == 0
    assert count_degenerate(de, en, de).num_degenerate == 0


def test_it_is_serious_from_three_lines_and_above_three_per_cent() -> None:
    assert not count_degenerate([""] * 3 + [GOOD] * 97).is_serious
    assert count_degenerate([""] * 3 + [GOOD] * 96).is_serious
    assert not count_degenerate([""] * 2 + [GOOD]).is_serious  # two sentences are no trend
