"""Requests that are handed from model to model, and those in parts, keep their terms."""

from types import SimpleNamespace
from typing import Any

import pytest

from nmt.extensions.documents.parts import chained, handed_on, in_parts, joined
from nmt.translation.request import Request
from nmt.translation.results import Candidate, Translation


@pytest.mark.parametrize("with_punctuation", [True, False])
def test_terms_of_the_next_model_are_the_words_that_are_linked_to_them(with_punctuation: bool) -> None:
    request = Request("Der Dachs, ja", must_contain=("oui",), terms={"dachs": "blaireau", "Hund": "chien"})
    links = ((0, 0), (1, 1), (2, 2), (3, 3)) if with_punctuation else ((0, 0), (1, 1), (2, 2))
    before = Translation(request.source, "The badger, yes", 0.0, [], [], links, with_punctuation)
    expected = Request("The badger, yes", must_contain=("oui",), terms={"badger": "blaireau"})
    assert handed_on(request, before) == expected


def test_terms_are_phrases_where_no_links_are_known_or_stay_where_nothing_was_translated() -> None:
    request = Request("Der Dachs", must_contain=("oui",), terms={"dachs": "blaireau", "Hund": "chien"})
    before = Translation("Der Dachs", "The badger", 0.0, [])
    assert handed_on(request, before) == Request("The badger", must_contain=("oui", "blaireau"))
    assert handed_on(request, Translation("Der Dachs", "Der Dachs", 0.0, [])) is request


def test_the_score_of_a_chain_is_that_of_its_first_candidate() -> None:
    first, second = (Translation("a", "b", score, [], [Candidate("b", score, [])]) for score in (-1.0, -2.0))
    found = chained(first, second)
    assert found.score == found.n_best[0].score == -3


def test_each_part_of_a_long_sentence_has_the_terms() -> None:
    vocabulary = SimpleNamespace(after_tags=lambda text: 0)
    model: Any = SimpleNamespace(max_pieces=8, encode_source=list, vocabularies=SimpleNamespace(source=vocabulary))
    parts = in_parts(Request("Ein Hund und ein Hund", terms={"Hund": "hound"}), model)
    assert len(parts) > 1
    assert {part.terms["Hund"] for part in parts} == {"hound"}


@pytest.mark.parametrize(
    ("texts", "whole", "links"),
    [
        (("你好。", "你好吗？"), "你好。你好吗？", ((0, 0), (1, 0))),  # one word between spaces
        (("", "Wie geht es?"), "Wie geht es?", ((1, 0),)),
        (("Hallo.", ""), "Hallo.", ((0, 0),)),
    ],
)
def test_the_links_of_parts_are_those_of_words_of_the_whole(
    texts: tuple[str, str], whole: str, links: tuple[tuple[int, int], ...]
) -> None:
    model: Any = SimpleNamespace(vocabularies=SimpleNamespace(source=SimpleNamespace(tags_of=lambda text: [])))
    parts = [
        Translation(source, text, -1.0, [], [Candidate(text, -1.0, [])], ((0, 0),) if text else ())
        for source, text in zip(("Hello.", "How are you?"), texts, strict=True)
    ]
    found = joined("Hello. How are you?", parts, model)
    assert (found.text, found.alignment) == (whole, links)
