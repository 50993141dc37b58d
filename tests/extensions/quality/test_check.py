"""What a translation loses or adds is found."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.alignment.lexicon import Lexicon, word_key
from nmt.alignment.links import WordAlignment
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.words import Words
from nmt.extensions.quality.check import END, lost_texts, merged, problems, sentences, severity, word_problems
from nmt.translation.load import load
from nmt.translation.results import Translation


@pytest.mark.parametrize(
    ("source", "translation", "expected"),
    [
        ("Es kostet 1.234,50 € am 3. Mai.", "It costs €1,234.50 on May 3.", {}),
        ("Es sind 12 Hunde.", "There are 21 dogs.", {"numbers": {"lost": ["12"], "added": ["21"]}}),
        (
            "Siehe https://a.b/c1.",
            "See https://a.b/c.",
            {"urls": {"lost": ["https://a.b/c1"], "added": ["https://a.b/c"]}},
        ),
        ("Hallo {name} %s", "Hello {Name} %s", {"placeholders": {"lost": ["{name}"], "added": ["{Name}"]}}),
        ("<b>Hund</b>", "<b>dog", {"tags": {"lost": ["</b>"], "added": []}}),
        ("Ein Hund", "A brown dоg", {"script": "о"}),
        (
            "Use `open_file` instead.",
            "使用 `file_open`。",
            {"code": {"lost": ["`open_file`"], "added": ["`file_open`"]}},
        ),
        ("``x == 1`` holds", "``x = 1`` gilt", {"code": {"lost": ["``x == 1``"], "added": ["``x = 1``"]}}),
        ("See :class:`Bytes` and `the docs <a>`_.", "请参阅 :class:`Bites` 和 `文档 <a>`_。", {}),
        ("Ein Hund.", "A dog.", {}),
        ("<b>Hund</b> 3", "<b>dog</b> 3 3", {"numbers": {"lost": [], "added": ["3"]}}),
        ("Use `open_file` instead.", "使用 `open_file`。", {}),
        ("A dog in Tokyo", "東京のイヌ", {}),
        ("Use open_file, read_bytes and close_all.", "使用 open_file, read_bytes 和 close_all。", {}),
        ("See `the manual of this module`.", "请看 `the pages on these modules`。", {}),
        ("Ein Hund. Eine Katze! Ein Igel", "A dog.", {"sentences": 2}),
        ("Am 12. Mai kam ein Hund, z.B. Rex. Bald...", "On May 12 a dog came, e.g. Rex. Soon...", {}),
        ("我有狗。我有猫。", "I have a dog.", {"sentences": 1}),
        ("Ein Hund", "dog dog dog dog dog dog", {"degenerate": "loop"}),
        ("Der kleine Hund schläft heute", "Der kleine Hund schläft heute", {"degenerate": "copy"}),
    ],
)
def test_problems(source: str, translation: str, expected: dict[str, Any]) -> None:
    assert problems(source, translation) == expected


def test_words_of_a_changed_translation_are_unsupported_and_omitted_ones_uncovered(tiny_model: Path) -> None:
    model = load(tiny_model, "cpu")
    source, good = "Heute trinkt die Katze kaltes Wasser.", "Today the cat drinks cold water."

    def check(text: str, vocabulary: Vocabulary | None = None) -> dict[str, list[str]]:
        [(alignment, *_)] = model.aligner.compared([(Words.split(source), Words.split(text))], scores=True)
        return word_problems(alignment, Translation(source, text, 0.0, []), None, vocabulary)

    assert check(good) == {}
    assert "dog" in check("Today the dog drinks cold water.")["unsupported"]
    assert "water." in check("Today the cat drinks water.")["unsupported"]
    assert END in check("Today the cat drinks cold water. today")["unsupported"]
    kept = "Today the dog drinks cold 😀 water."
    assert {"dog", "😀"} <= {*check(kept)["unsupported"]}
    assert "dog" in (found := check(kept, model.vocabularies.target)["unsupported"])
    assert "😀" not in found
    assert "Katze" in check("Today.").get("uncovered", []) + check("Today drinks cold water.").get("uncovered", [])


def test_a_lexicon_excuses_words_without_a_translation_and_words_whose_translation_is_there() -> None:
    """Words without attention: an auxiliary verb, a word that is translated, an omission, and a short word.

    The last word was cut, so that it has no attention at all.
    """
    words, target = ("does", "years", "window", "foo", "laugh", "beyond"), ("Jahre", "lachen")
    weights_TS = np.array([[0.01, 0.01, 0.01, 0.01, 0.96, 0.0], [0.01, 0.01, 0.01, 0.01, 0.96, 0.0]])
    alignment = WordAlignment(words, target, weights_TS, (), margins=[0.0, 0.0, 0.0])
    lexicon = Lexicon({
        "does": {f"wort{i}": 100.0 for i in range(10)},
        "years": {"jahre": 900.0, "alt": 100.0},
        "window": {"fenster": 1000.0},
        "laugh": {"lachen": 1000.0},
    })  # fmt: skip
    found = Translation(" ".join(words), " ".join(target), 0.0, [])
    assert word_problems(alignment, found, None, None) == {"uncovered": ["does", "years", "window"]}
    with_terms = replace(found, terms={"years window": "Jahr", "does": "tut"})
    assert word_problems(alignment, with_terms, None, None) == {"uncovered": ["does"]}, (
        "a term that is there in another form"
    )
    assert word_problems(alignment, found, lexicon, None) == {"uncovered": ["window"]}
    answer = replace(alignment, turns=(0, 0, 0, 1, 1, 1))
    assert word_problems(answer, found, lexicon, None) == {}, "an answer doesn't translate the turns of a dialogue"


def test_a_row_of_marks_takes_time_that_grows_with_its_length() -> None:
    start = time.process_time()
    row = f"a{'.' * 20_000}{{ 5."
    assert sentences(f"{row}. B. 5. Mai") == [f"{row}.", "B.", "5. Mai"]
    assert word_key(f"A{'!' * 20_000}a!") == f"a{'!' * 20_000}a"
    assert time.process_time() - start < 2


def test_lost_code_is_required_by_repair() -> None:
    source = "Call ``len(x)`` twice"
    assert lost_texts(source, problems(source, "Rufe ``len(y)`` zweimal auf")) == ["``len(x)``"]


def test_the_problems_of_parts_are_those_of_the_whole() -> None:
    first, second = problems("Es sind 12.", "21."), problems("Und 3 <b>", "And")
    whole = merged([first, second | {"uncovered": ["a"]}, {"uncovered": ["b"]}, {"degenerate": "loop"}])
    assert whole == {
        "numbers": {"lost": ["12", "3"], "added": ["21"]},
        "tags": {"lost": ["<b>"], "added": []},
        "uncovered": ["a", "b"],
        "degenerate": "loop",
    }
    assert merged([first, None]) is None
    assert severity(whole) == (5, 2)
    assert lost_texts("Am 1.5. um 12:30", {"numbers": {"lost": ["1230"], "added": []}}) == ["12:30"]
