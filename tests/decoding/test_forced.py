"""What a model is forced to say is as probable as when it says so by itself."""

import pytest
from searches import search_all
from small_systems import SYSTEMS, WORDS, system

from nmt.decoding.forced import force_all
from nmt.decoding.ranking import length_normalised
from nmt.recipe.schema import DecodingOptions

SOURCES = [[4, 9, 7, 5, 12], [10, 4], [8, 6, 14, 13, 5, 11, 7, 10, 17], [], [16, 16, 5], [9]]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_hypothesis_of_the_search_gets_the_score_that_it_had_there(name: str) -> None:
    model = system(name)
    options = DecodingOptions(beam_size=4, max_length_ratio=1, max_length_extra=5, batch_size=4)
    found = search_all(model, SOURCES, WORDS, options)
    pairs = [(source, h.ids) for source, hypotheses in zip(SOURCES, found, strict=True) for h in hypotheses]
    searched = [h for hypotheses in found for h in hypotheses]
    assert len(pairs) == 4 * len(SOURCES)
    for hypothesis, forced in zip(searched, force_all(model, pairs, WORDS, batch_size=5), strict=True):
        assert len(forced.log_probability_T) == len(hypothesis.ids) + 1
        total = float(forced.log_probability_T.sum())
        assert total == pytest.approx(hypothesis.log_probability, abs=1e-4)
        score = length_normalised(options, forced.log_probability_T.sum(), len(hypothesis.ids) + 1)
        assert float(score) == pytest.approx(hypothesis.score, abs=1e-4)


def test_margins_alone_are_those_beside_log_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.decoding.forced.ROWS", 4)
    model, pairs = system("transformer"), [(source, source[::-1]) for source in SOURCES]
    both = force_all(model, pairs, WORDS, 5)
    for forced, alone in zip(both, force_all(model, pairs, WORDS, 5, margins_only=True), strict=True):
        assert alone.margin_T.tolist() == pytest.approx(forced.margin_T.tolist(), abs=1e-5)
        assert min(forced.margin_T.tolist()) < -1e-3
        assert len(alone.log_probability_T) == 0
    for neither in force_all(model, pairs, WORDS, 5, scores=False, margins_only=True):
        assert len(neither.margin_T) == 0
