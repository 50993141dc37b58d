"""Terms stand in the places of what they replace, by hand-made word alignments."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nmt.alignment.lexicon import Lexicon
from nmt.data.dialogue import LineReader
from nmt.data.words import Words
from nmt.extensions.terms.places import place_terms
from nmt.recipe.schema import DecodingOptions
from nmt.translation.request import Request
from nmt.translation.results import Candidate, ScoredPair

SOURCE, FREE = "The girl sees the dog.", "Das Mädchen sieht den Hund."


def fake(lexicon: Lexicon | None = None, links: Sequence[tuple[int, int]] = (), has_attention: bool = True) -> Any:
    """Returns a translator whose words are linked one after another, or as ``links`` says."""

    def compared(pairs: Sequence[tuple[Words, Words]]) -> Any:
        for source, target in pairs:
            weights_TS = np.zeros((len(target.words), len(source.words)), np.float32)
            for s, t in links or [(i, i) for i in range(min(weights_TS.shape))]:
                weights_TS[t, s] = 1
            yield None, weights_TS, weights_TS

    aligner = SimpleNamespace(lexicon=lexicon, compared=compared)
    task = SimpleNamespace(reader=LineReader(history_turns=3))
    return SimpleNamespace(aligner=aligner, options=DecodingOptions, has_attention=has_attention, task=task)


@pytest.fixture(autouse=True)
def equal_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(model: Any, pairs: Any, options: DecodingOptions) -> Any:
        return (ScoredPair(source, target, ["a", "</s>"], [-1.0, -1.0], -2.0, -1.0) for source, target in pairs)

    monkeypatch.setattr("nmt.extensions.terms.places.scores", score)


def placed(translator: Any, request: Request, free: str, again: dict[str, str] | None = None) -> str:
    """Returns the translation; ``again`` has those of a second search, by their sources or phrases."""

    def search(requests: Sequence[Request], numbers: Sequence[int], options: DecodingOptions) -> Any:
        assert list(numbers) == [7] * len(requests)
        return [[Candidate((again or {})["|".join(each.must_contain) or each.source], 0.0, [])] for each in requests]

    [found] = place_terms(translator, [request], [7], [[Candidate(free, 0.0, [])]], DecodingOptions(), search)
    return found[0].text


def test_a_term_is_in_the_place_of_the_word_that_it_replaces() -> None:
    assert placed(fake(), Request(SOURCE, terms={"DOG": "Köter"}), FREE) == "Das Mädchen sieht den Köter."
    both = Request("The dog sees the dog.", terms={"dog": "Köter", "sees": "erblickt"})
    assert placed(fake(), both, "Der Hund sieht den Hund.") == "Der Köter erblickt den Köter."
    dialogue, links = Request("a dog\tthe dog", terms={"dog": "Köter"}), [(0, 0), (1, 0), (2, 0), (3, 1)]
    assert placed(fake(links=links), dialogue, "den Hund") == "den Köter"


def test_at_the_beginning_a_term_has_a_capital_as_the_word_had() -> None:
    assert placed(fake(), Request("Dogs bark.", terms={"dogs": "köter"}), "Hunde bellen.") == "Köter bellen."
    assert placed(fake(), Request("Today dogs.", terms={"dogs": "köter"}), "Heute Hunde.") == "Heute köter."


def test_several_words_are_replaced_by_one_and_one_by_several() -> None:
    lost = fake(links=[(0, 0), (1, 1), (1, 2), (2, 3)])
    assert placed(lost, Request("a football here", terms={"football": "Ball"}), "ein Fuß Ballspiel da") == "ein Ball da"
    compound = fake(links=[(0, 0), (1, 0), (2, 1)])
    terms = {"soccer": "Rasen", "player": "Akteur"}
    assert placed(compound, Request("soccer player runs", terms=terms), "Fußballer läuft") == "Rasen Akteur läuft"


def test_punctuation_and_words_that_are_apart_stay() -> None:
    apart = fake(links=[(0, 0), (1, 1), (1, 3), (1, 2)])
    assert placed(apart, Request("I sleep", terms={"sleep": "döse"}), "Ich schlafe, ein") == "Ich döse, ein"


@pytest.mark.parametrize("free", ["Das Mädchen sieht die Köter.", "Das Mädchen sieht den KÖTER."])
def test_a_term_that_the_model_chooses_in_any_form_changes_nothing(free: str) -> None:
    assert placed(None, Request(SOURCE, terms={"dog": "Köter"}), free) == free


def test_a_term_that_is_not_in_the_source_changes_nothing() -> None:
    assert placed(None, Request(SOURCE, terms={"cat": "Kater", "": "x", "girl": ""}), FREE) == FREE


def test_what_the_alignment_does_not_reach_and_a_prefix_stay() -> None:
    request = Request(SOURCE, terms={"dog": "Köter"})
    assert placed(fake(links=[(0, 0)]), request, FREE) == FREE
    assert placed(fake(), Request(SOURCE, prefix="Das Mädchen", terms={"girl": "Kind"}), FREE) == FREE


LEXICON = Lexicon({"cat": {"katze": 2.0}, "dog": {"hund": 2.0, "katze": 1.0}})
"""Its second word for Katze isn't the term itself."""


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("Ein Kind sieht die kleine Katze.", "Das Mädchen sieht den kleinen Katze."),  # other words
        ("Das Mädchen sieht die kleine Katze.", "Das Mädchen sieht die kleine Katze."),
        ("Dem Mädchen sieht die kleine Katze.", "Das Mädchen sieht den kleinen Katze."),  # too far from the term
        ("Das Mädchen sieht die kleine Katzenart.", "Das Mädchen sieht den kleinen Katze."),
        ("Das Mädchen sieht die kleine Katze", "Das Mädchen sieht den kleinen Katze."),
    ],
)
def test_words_beside_a_term_agree_with_it(other: str, expected: str) -> None:
    """They do in the translation of a sentence that has a word whose translation is the term."""
    request = Request("The girl sees the small dog.", terms={"dog": "Katze"})
    again = {"The girl sees the small cat.": other}
    assert placed(fake(LEXICON), request, "Das Mädchen sieht den kleinen Hund.", again) == expected


def test_without_attention_the_search_chooses_the_place() -> None:
    request, again = Request(SOURCE, terms={"dog": "Köter"}), {"Köter": "Den Köter sieht das Mädchen."}
    assert placed(fake(has_attention=False), request, FREE, again) == again["Köter"]
    assert placed(fake(has_attention=False), request, FREE, {"Köter": "Das Kind."}) == FREE
