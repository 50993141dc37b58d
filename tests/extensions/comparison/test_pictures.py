"""Pictures of scores by length: what is drawn is what was computed."""

import numpy as np
import pytest

import nmt
from nmt.extensions.comparison.pictures import draw_confusion, draw_lengths


def test_scores_by_length_are_those_of_each_bucket() -> None:
    lines = ["a", "a b", "a b c"]
    picture = nmt.plot_lengths({"good": lines, "bad": ["a", "x y", "x y z"]}, lines, lines, "accuracy", limits=(1, 2))
    scores = {line.get_label(): list(line.get_ydata()) for line in picture.axes[0].lines}
    assert scores == {"good": [100, 100, 100], "bad": [100, 0, 0]}
    with pytest.raises(nmt.UserError, match="Different numbers of lines"):
        nmt.plot_lengths({"short": lines[:2]}, lines)


def test_lengths_have_a_line_for_each_system() -> None:
    rows = [
        {"label": "0–5", "sentences": 1000, "scores": {"ter": {"a": 10, "b": 30}}},
        {"label": "6+", "sentences": 20, "scores": {"ter": {"a": 20, "b": 25}}},
    ]
    lengths = draw_lengths(rows, "ter", "source")
    (axes,) = lengths.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[10, 20], [30, 25]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0–5\n(1,000)", "6+\n(20)"]
    assert axes.get_ylabel() == "TER (less is better)"
    assert [text.get_text() for text in lengths.legends[0].get_texts()] == ["a", "b"]


def test_a_confusion_matrix_counts_references_in_rows() -> None:
    (axes, *_) = draw_confusion(["a", "a", "a", "b"], ["a", "b", "b", "b"]).axes
    cells = {(text.get_position(), text.get_text()) for text in axes.texts if text.get_text().isdigit()}
    assert cells == {((0.5, 0.55), "1"), ((1.5, 0.55), "2"), ((1.5, 1.55), "1")}
    (shades,) = (mesh.get_array() for mesh in axes.collections)
    assert np.asarray(shades).tolist() == [[pytest.approx(1 / 3), pytest.approx(2 / 3)], [0, 1]]
