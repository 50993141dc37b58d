"""Which terms of a glossary sentences have, and which of them their translations lack."""

import time
from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.data.dialogue import LineReader
from nmt.translation.glossary import Glossary
from nmt.translation.request import Request

GLOSSARY = Glossary.parse("# terms\nHund\thound\n\nalte Katze\told cat\r\nKatze\tcat\nUnbekannt\tqwx\n")


def test_terms_are_found_as_whole_words_the_longest_first() -> None:
    assert GLOSSARY.terms_in("Die ALTE  Katze, der Hund und der Hund.") == [
        ("alte Katze", "old cat"),
        ("Hund", "hound"),
    ]
    assert GLOSSARY.terms_in("Hundert Katzen") == []
    letters = Glossary({"das Wasser": "water", "Istanbul": "Istanbul", "µm": "micron"})  # the same but for their case
    assert [term for term, _ in letters.terms_in("DAS  Waſſer, İstanbul, 5 μm")] == ["das Wasser", "Istanbul", "µm"]
    dotted = Glossary({"İstanbul": "Istanbul"})
    assert [text for text in ("İstanbul", "istanbul", "ankara") if dotted.terms_in(f"in {text}.")] == [
        "İstanbul", "istanbul"
    ]  # fmt: skip
    several = Glossary({"狗": "dog", "Hund": "dog", "das Haus": "house", "Haus": "home"})
    assert [term for term, _ in several.terms_in("daſ Hauſ, 狗, HUND, daſ  Haus")] == ["das Haus", "狗", "Hund"]
    sack = Glossary({"Katze": "cat", "Katze im Sack": "pig in a poke"})
    assert sack.terms_in("die Katze im Sack, die Katze") == [("Katze im Sack", "pig in a poke"), ("Katze", "cat")]


def test_of_terms_that_differ_in_case_the_first_counts() -> None:
    assert Glossary.parse("Apple\tfirst\napple\tsecond\n").terms_in("an apple") == [("Apple", "first")]


def test_marks_belong_to_the_letter_before() -> None:
    marked = Glossary({"राम": "Ram", "cafe": "coffee", "Herz": "heart"})
    assert marked.terms_in("रामायण, cafe\u0301") == []
    assert [term for term, _ in marked.terms_in("राम ❤\ufe0fHerz")] == ["राम", "Herz"]


def test_terms_that_only_the_pattern_takes_for_the_same_are_found_in_little_time() -> None:
    glossary, start = Glossary({f"w{number}ss": "x" for number in range(2_000)}), time.process_time()
    assert glossary.terms_in("w1999ſſ " * 200) == [("w1999ss", "x")]
    assert time.process_time() - start < 5
    alike, start = (
        Glossary({f"{'a ' * (97 - number % 50)}{number}": "x" for number in range(1_000)}),
        time.process_time(),
    )
    assert alike.terms_in(f"{'a ' * 2_500} 999") == [(f"{'a ' * 48}999", "x")]
    assert Glossary({"a" * number: "x" for number in range(1, 500)}).terms_in("a" * 10_000) == []
    assert time.process_time() - start < 1
    alike, start = Glossary({"a" * number: "x" for number in range(1, 800)}), time.process_time()
    assert alike.terms_in("a" * 4_000 + " b" * 500) == []
    assert time.process_time() - start < 3
    assert [term for term, _ in Glossary({"ılık": "warm", "ilik": "marrow"}).terms_in("Ilık, ilik")] == ["ılık", "ilik"]


def test_terms_of_scripts_without_spaces_are_found_anywhere() -> None:
    glossary = Glossary({"狗": "dog", "黑狗": "black dog", "Hund": "犬"})
    assert [term for term, _ in glossary.terms_in("一只黑狗和狗在睡觉。Hunde")] == ["黑狗", "狗"]
    assert glossary.missing("der Hund", "一只犬在睡觉。") == ()
    assert glossary.missing("der Hund", "一只狗在睡觉。") == (("Hund", "犬"),)


def test_terms_are_requested_with_the_sentences_that_have_them() -> None:
    asked = GLOSSARY.requested(
        Request("Der Hund läuft.", must_contain=("runs",), terms={"läuft": "runs", "Hund": "dog"})
    )
    assert asked == Request("Der Hund läuft.", must_contain=("runs",), terms={"Hund": "dog", "läuft": "runs"})
    turns = Request("Der Hund.\tDie Katze.")
    assert GLOSSARY.requested(turns, LineReader(1).current).terms == {"Katze": "cat"}
    plain = Request("Nichts")
    assert GLOSSARY.requested(plain) is plain


def test_another_form_of_the_term_is_the_term() -> None:
    assert Glossary({"Katze": "cat"}).missing("Zwei Katzen und Katze", "Two cats") == ()
    assert Glossary({"a": "große Katze"}).missing("a", "die großen Katzen") == ()
    assert Glossary({"a": "cat"}).missing("a", "a caterpillar") == (("a", "cat"),)


def test_a_wrong_line_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "terms.tsv"
    path.write_text("Hund\thound\n", "utf-8")
    assert Glossary.load(path).terms_in("ein Hund") == [("Hund", "hound")]
    for line in ("Katze", "\tcat", "Katze\t", "a\tb\tc"):
        path.write_text(f"Hund\thound\n{line}\n", "utf-8")
        with pytest.raises(UserError, match=r"terms\.tsv, line 2: '"):
            Glossary.load(path)
