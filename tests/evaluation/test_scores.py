"""Scores of translations from Python."""

from typing import Any

import pytest

import nmt


def test_a_text_is_one_sentence_and_not_its_letters() -> None:
    one = nmt.score("The dog sleeps.", "The dog barks.", "chrf")
    assert one == nmt.score(["The dog sleeps."], ["The dog barks."], ["chrf"])
    assert 0 < one["chrf"].score < 100


@pytest.mark.parametrize("wrong", [None, ["A man sleeps."], float("nan")])
def test_what_is_no_text_is_not_scored(wrong: Any) -> None:
    with pytest.raises(nmt.UserError, match=r"Sentence 1 is (None|\[|nan)"):
        nmt.score(["A man sleeps."], [wrong])
