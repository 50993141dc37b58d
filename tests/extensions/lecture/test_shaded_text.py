"""The text of a classifier's source on the shades of its weights."""

import numpy as np
import pytest

from nmt.alignment.links import WordAlignment
from nmt.extensions.lecture.shaded_text import LINE, MARGIN, WIDTH, draw_document
from nmt.plotting.style import DIAGNOSTIC_SHADES, SHADES

WORDS = ("Hello", ".", "My", "order", "came")
DOCUMENT = WordAlignment(
    WORDS, ("agent",), np.array([[0.15, 0.05, 0.1, 0.6, 0.05]], np.float32), (),
    turns=(0, 0, 1, 1, 1), turn_weights=np.array([[0.2, 0.8]], np.float32),
)  # fmt: skip


def test_words_have_their_weight_within_the_sentence_and_sentences_their_own() -> None:
    texts = {text.get_text(): text for text in draw_document(DOCUMENT, title="Sentence 1").axes[0].texts}
    assert texts.keys() == {*WORDS, "0.20", "0.80", "Sentence 1: agent"}
    for word, weight in zip(WORDS, (0.75, 0.25, 0.125, 0.75, 0.0625), strict=True):
        patch = texts[word].get_bbox_patch()
        assert patch.get_facecolor() == pytest.approx(SHADES(weight), abs=0.02)
    patch = texts["0.80"].get_bbox_patch()
    assert patch.get_facecolor() == pytest.approx(DIAGNOSTIC_SHADES(0.8), abs=0.02)
    rows = [texts[word].get_position()[1] for word in WORDS]
    assert rows == [0, 0, -LINE, -LINE, -LINE]


def test_a_long_text_without_sentences_is_wrapped() -> None:
    words = tuple(f"Wort{number}" for number in range(60))
    figure = draw_document(WordAlignment(words, ("a",), np.full((1, 60), 1 / 60, np.float32), ()), numbers=True)
    (axes,) = figure.axes
    assert axes.texts[0].get_text() == "Wort0 0.02"
    places = [text.get_position() for text in axes.texts[:60]]
    assert len({y for _, y in places}) > 5
    assert all(MARGIN <= x < WIDTH for x, _ in places)
    assert axes.get_ylim()[0] < min(y for _, y in places)
