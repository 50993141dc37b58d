"""Pairs of sentences from training lines that have several."""

from unittest.mock import Mock

import pytest

from nmt.autotrain.texts import Texts
from nmt.extensions.documents.segmentation import split_sentences
from nmt.extensions.documents.sentence_pairs import sentence_pairs

RAIN, HOME = ("Heute regnet es stark.", "It rains hard today."), ("Wir bleiben hier!", "We stay here!")
LINE = " ".join((RAIN[0], HOME[0])), " ".join((RAIN[1], HOME[1]))


def test_sentences_of_lines_with_as_many_on_both_sides_are_pairs() -> None:
    others = [("Eins.", "One."), ("Ja. Nein.", "Yes, no."), ("Dr. Kurz lacht.", "Dr. Kurz laughs.")]
    train = [LINE, *others, LINE]
    assert sentence_pairs(Texts(train, languages=("de", "en"))) == [RAIN, HOME]
    assert sentence_pairs(Texts([*train, RAIN], languages=("de", "en"))) == [HOME], "a line is not added again"


def test_each_side_is_divided_by_the_rules_of_its_language() -> None:
    line = ("今日は雨が降る。家にいる。", "It rains hard. We stay at home.")
    assert sentence_pairs(Texts([line], languages=("ja", "en"))) == [
        ("今日は雨が降る。", "It rains hard."),
        ("家にいる。", "We stay at home."),
    ]


def test_the_other_side_of_one_sentence_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    divided = Mock(side_effect=split_sentences)
    monkeypatch.setattr("nmt.extensions.documents.sentence_pairs.split_sentences", divided)
    sentence_pairs(Texts([("Eins.", "One. Two.")], languages=("de", "da")))
    divided.assert_called_once_with("Eins.", "de")


def test_sentences_whose_lengths_do_not_fit_are_no_pairs() -> None:
    sides = ("Ja!", "Heute regnet es stark in der ganzen Stadt."), ("Yes!", "It rains hard today in the whole town.")
    parallel, crossed = [[" ".join(each) for each in (sides[0], other)] for other in (sides[1], sides[1][::-1])]
    assert sentence_pairs(Texts([(parallel[0], parallel[1])], languages=("de", "en"))) == [*zip(*sides, strict=True)]
    assert not sentence_pairs(Texts([(crossed[0], crossed[1])], languages=("de", "en")))


@pytest.mark.parametrize(("num_others", "num_pairs"), [(19, 2), (20, 0)])
def test_few_pairs_are_not_worth_their_time(num_others: int, num_pairs: int) -> None:
    train = [LINE, *((f"Satz {n}.", f"Sentence {n}.") for n in range(num_others))]
    assert len(sentence_pairs(Texts(train, languages=("de", "en")))) == num_pairs
