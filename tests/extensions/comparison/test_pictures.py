"""Pictures of scores by length: what is drawn is what was computed."""

import numpy as np
import pytest

import nmt
from nmt.extensions.comparison.pictures import draw_confusion, draw_lengths
from nmt.extensions.comparison.report import length_table
from nmt.metrics.table import METRICS


def test_scores_by_length_are_those_of_each_bucket() -> None:
    lines = ["a", "a b", "a b c"]
    picture = nmt.plot_lengths({"good": lines, "bad": ["a", "x y", "x y z"]}, lines, lines, "accuracy", limits=(1, 2))
    (axes,) = picture.axes
    scores = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert scores == {"good": [100, 100, 100], "bad": [100, 0, 0]}
    assert [text.get_text() for text in picture.legends[0].get_texts()] == [*scores]
    assert axes.get_title(loc="right") == "", "the signature would be the name, which the axis has"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1\n(1)", "2\n(1)", "3+\n(1)"], "no text is empty"
    assert axes.lines[0].get_markersize() > axes.lines[1].get_markersize(), "both are seen where they are equal"
    ticks = nmt.plot_lengths({"good": ["", "a"]}, ["", "a"], metric="accuracy", limits=(1, 2)).axes[0].get_xticklabels()
    assert [label.get_text() for label in ticks] == ["0–1\n(2)"]
    with pytest.raises(nmt.UserError, match="Different numbers of lines"):
        nmt.plot_lengths({"short": lines[:2]}, lines)


def test_scores_below_zero_and_without_decimals_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """COMET can be negative, and a plugin's metric have no decimals."""
    monkeypatch.setattr(METRICS["accuracy"], "decimals", 0)
    rows = [{"label": "0–5", "sentences": 1, "scores": {"accuracy": {"bad": -30.0, "zero": -0.2}}}]
    (axes,) = draw_lengths(rows, "accuracy", "source").axes
    assert axes.get_ylim()[0] <= -30
    assert length_table(rows, "accuracy").rows == [["0–5", "1", "-30", "0"]]


def test_a_confusion_matrix_counts_references_in_rows() -> None:
    (axes, *_) = draw_confusion(["a", "a", "a", "b"], ["a", "b", "b", "b"]).axes
    cells = {(text.get_position(), text.get_text()) for text in axes.texts if text.get_text().isdigit()}
    assert cells == {((0.5, 0.55), "1"), ((1.5, 0.55), "2"), ((1.5, 1.55), "1")}
    (shades,) = (mesh.get_array() for mesh in axes.collections)
    assert np.asarray(shades).tolist() == [[pytest.approx(1 / 3), pytest.approx(2 / 3)], [0, 1]]
    with pytest.raises(nmt.UserError, match="802 different labels"):  # whole texts: memory grows with their square
        draw_confusion([f"line {n}" for n in range(401)], [f"other {n}" for n in range(401)])
