"""Confidence: the regression finds known probabilities, and its file is checked."""

import random
from math import exp
from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.translation.confidence import Calibration, reliability


def test_known_weights_are_found(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [{"length": draw.gauss(3, 2), "coverage": draw.gauss(0, 0.5)} for _ in range(4000)]
    true = [1 / (1 + exp(-(0.8 * row["length"] + 5 * row["coverage"] - 2))) for row in rows]
    scores = [100.0 * (draw.random() < p) for p in true]
    found = Calibration.fit(rows, scores, 50)
    assert found.weights["length"] == pytest.approx(0.8, rel=0.15)
    assert found.weights["coverage"] == pytest.approx(5, rel=0.15)
    assert found.bias == pytest.approx(-2, rel=0.15)
    given = [found.probability(row) for row in rows]
    assert max(abs(a - b) for a, b in zip(given, true, strict=True)) < 0.1
    error, bins = reliability(given, [score >= 50 for score in scores])
    assert error < 0.03
    assert sum(each.count for each in bins) == 4000
    found.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == found
    assert found.probability(None) == 0.0


def test_the_calibration_error_of_overconfident_values() -> None:
    error, bins = reliability([0.95] * 10 + [0.05] * 10, [True] * 5 + [False] * 15)
    assert error == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    assert [(each.count, each.acceptable) for each in bins] == [(10, 0.0), (10, 0.5)]


def test_only_one_kind_of_translations_is_refused() -> None:
    with pytest.raises(UserError, match="have a chrF of at least 50"):
        Calibration.fit([{"length": 1.0}, {"length": 2.0}], [80.0, 90.0], 50)


@pytest.mark.parametrize("text", ["", "[]", '{"min_chrf": 50, "weights": {"other": 1}, "bias": 0}', '{"weights": {}}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    with pytest.raises(UserError, match=r"has no calibration\.json"):
        Calibration.load(path)
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match="is damaged"):
        Calibration.load(path)
