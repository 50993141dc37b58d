"""Attention to turns, from attention to pieces."""

import numpy as np
import pytest

from nmt.alignment.formats import to_json
from nmt.alignment.links import WordAlignment
from nmt.alignment.turns import merge_to_turns, turns_of_words
from nmt.alignment.words import Words
from nmt.data.dialogue import source_pieces
from nmt.data.vocabulary import SEPARATOR, WordVocabulary

VOCABULARY = WordVocabulary([SEPARATOR, "▁a", "▁b", ","])
LINE = "a b,\t\tb a"


def test_each_word_has_the_turn_it_stands_in() -> None:
    assert turns_of_words(Words.split(LINE)) == (0, 0, 2, 2)
    assert turns_of_words(Words.split("a")) == (0,)
    assert turns_of_words(Words.split("")) == ()


def test_the_weight_of_a_turn_is_that_of_its_pieces_and_of_its_end() -> None:
    words, pieces = Words.split(LINE), source_pieces(VOCABULARY, LINE, 2)
    assert len(pieces) == 7  # a b , SEPARATOR SEPARATOR b a
    weights_TS = np.array(
        [
            [0.1, 0.2, 0.1, 0.1, 0.2, 0.1, 0.1],  # 0.1 is left for EOS
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5],
            [0.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0],
        ]
    )
    # The second target word has the last two pieces; the third one has none.
    merged = merge_to_turns(weights_TS, words, pieces, [0, 1, 1], 3)
    np.testing.assert_allclose(merged, [[0.5, 0.2, 0.3], [0.25, 0.25, 0.5], [0, 0, 0]], atol=1e-6)


def test_turns_that_were_not_read_get_nothing() -> None:
    words, pieces = Words.split(LINE), source_pieces(VOCABULARY, LINE, 0)
    merged = merge_to_turns(np.array([[0.3, 0.4]]), words, pieces, [0], 1)
    np.testing.assert_allclose(merged, [[0, 0, 1]])


def alignment(turn_weights: list[list[float]] | None, source: str = LINE) -> WordAlignment:
    words = Words.split(source)
    weights = np.full((2, len(words.words)), 0.2, dtype=np.float32)
    matrix = None if turn_weights is None else np.array(turn_weights, dtype=np.float32)
    return WordAlignment(words.words, ("x", "y"), weights, (), turns=turns_of_words(words), turn_weights=matrix)


def test_json_has_turns_only_for_dialogues() -> None:
    row = to_json(alignment([[0.3, 0.30001, 0.4], [1, 0, 0]]))
    assert (row["turns"], row["turn_weights"]) == ([0, 0, 2, 2], [[0.3, 0.3, 0.4], [1, 0, 0]])
    assert {"turns", "turn_weights"}.isdisjoint(to_json(alignment(None)))


def test_turns_must_be_those_of_the_words() -> None:
    with pytest.raises(ValueError, match="turns of 0 words"):
        WordAlignment(("a",), ("x",), np.ones((1, 1), np.float32), (), turn_weights=np.ones((1, 1), np.float32))
