"""Scores of translations from Python."""

from typing import Any

import pytest

import nmt


def test_scores_are_those_of_sacrebleu() -> None:
    found = nmt.score(["A man sleeps in the sun."], ["A man sleeps in the sun."])
    assert found["bleu"].score == pytest.approx(100)
    assert found["chrf"].score == pytest.approx(100)
    assert "version:" in found["bleu"].signature


def test_a_text_is_one_sentence_and_not_its_letters() -> None:
    one = nmt.score("The dog sleeps.", "The dog barks.", "chrf")
    assert one == nmt.score(["The dog sleeps."], ["The dog barks."], ["chrf"])
    assert 0 < one["chrf"].score < 100


@pytest.mark.parametrize(("hypotheses", "references"), [(["a", "b"], ["a"]), ([], []), ("a", [])])
def test_numbers_of_sentences_must_agree(hypotheses: list[str], references: list[str]) -> None:
    with pytest.raises(nmt.UserError, match=r"Different numbers of lines|Nothing to score"):
        nmt.score(hypotheses, references)


@pytest.mark.parametrize("wrong", [None, ["A man sleeps."], float("nan")])
def test_what_is_no_text_is_not_scored(wrong: Any) -> None:
    with pytest.raises(nmt.UserError, match=r"Sentence 1 is (None|\[|nan)"):
        nmt.score(["A man sleeps."], [wrong])


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(nmt.UserError, match="no metric 'blue'"):
        nmt.score("a", "b", "blue")
