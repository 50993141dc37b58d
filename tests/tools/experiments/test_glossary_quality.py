"""Entries that are made of a corpus, and how translations with their terms are judged."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from nmt.translation.results import Translation


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("experiments/glossary_quality")


def translation(source: str, text: str) -> Translation:
    """Returns a translation whose words are linked one after another."""
    return Translation(source, text, 0.0, [], alignment=tuple((i, i) for i in range(len(source.split()))))


def test_every_other_entry_is_a_compound_and_the_others_are_other_words(tool: ModuleType) -> None:
    pairs = [("the girl", "das Mädchen"), ("the dogs", "das Hunde"), ("the tree", "das Baum"), ("an oak", "an Eiche")]
    found = [translation(*pair) for pair in pairs]
    assert [[*tool.single_links(each)] for each in found] == [
        [(pair[0].split()[1], pair[1].split()[1])] for pair in pairs[:3]
    ] + [[]]
    known = {source.split()[1]: text.split()[1] for source, text in pairs}
    entries = list(tool.entries(found, [text for _, text in pairs], seed=2))
    assert {each.masked in each.reference for each in entries} == {True}
    compounds = [each for each in entries if each.term not in known.values()]
    others = [each for each in entries if each.term in known.values()]
    assert compounds
    assert others
    for each in others:  # the reference translates the word that gave way
        assert each.word in known.keys() & each.source.split()
        assert each.term == each.masked != known[each.word]
    again = [translation(each.source, f"das {known[each.word]}") for each in entries]
    assert [(each.word, each.replaced) for each in tool.with_translations(entries, again)] == [
        (each.word, known[each.word]) for each in entries
    ]


@pytest.mark.parametrize(
    ("text", "judgement"),
    [
        ("Das Mädchen sieht den Köter dort.", (True, False, False)),
        ("Ein Mädchen sieht einen Köter da.", (True, False, False)),
        ("Das Mädchen sieht den Hund dort. Köter", (False, True, True)),
        ("Das Köter Mädchen sieht den dort.", (False, False, False)),
        ("Das Köter sieht den Köter dort.", (False, True, False)),
        ("Das Mädchen sieht den dort.", (False, False, False)),
    ],
)
def test_judgements(tool: ModuleType, text: str, judgement: tuple[bool, ...]) -> None:
    free = "Das Mädchen sieht den Hund dort."
    entry: Any = tool.Entry("The girl sees the dog there.", "dog", "Köter", free, "Hund", free, "Hund")
    assert (tool.is_in_place(entry, text), tool.is_doubled(entry, text), tool.is_appended(entry, text)) == judgement
    assert tool.bleu([entry], [text], ["Köter"]) <= tool.bleu([entry], [free], ["Hund"])
