"""Confidence: the regression finds known probabilities, and its file is checked."""

import itertools
import random
from math import exp
from pathlib import Path

import numpy as np
import pytest

from nmt.alignment.links import WordAlignment
from nmt.core.errors import UserError
from nmt.extensions.quality.confidence import (
    AGREEMENT,
    WORD_FEATURES,
    Calibration,
    Regression,
    acceptable_words,
    area_under_curve,
    features,
    reliability,
    word_features,
)


def test_known_weights_are_found() -> None:
    draw = random.Random(1)
    rows = [{"length": draw.gauss(3, 2), "coverage": draw.gauss(0, 0.5)} for _ in range(4000)]
    true = [1 / (1 + exp(-(0.8 * row["length"] + 5 * row["coverage"] - 2))) for row in rows]
    acceptable = [draw.random() < p for p in true]
    fitted = Regression.fit(rows, acceptable)
    assert fitted.weights == pytest.approx({"length": 0.8, "coverage": 5}, rel=0.15)
    assert fitted.bias == pytest.approx(-2, rel=0.15)
    given = [fitted.probability(row) for row in rows]
    assert given == pytest.approx(true, abs=0.1)
    error, bins = reliability(given, acceptable)
    assert error < 0.03
    assert sum(each.count for each in bins) == 4000


def test_the_bias_is_not_penalised() -> None:
    acceptable = [True] * 98 + [False] * 2
    found = Regression.fit([{"length": float(i % 2)} for i in range(100)], acceptable)
    # With a feature that says nothing, the mean probability is the share of acceptable ones.
    assert found.probability({"length": 0.5}) == pytest.approx(0.98, abs=1e-4)


def test_the_calibration_error_of_overconfident_values() -> None:
    error, bins = reliability([0.95] * 10 + [0.05] * 10, [True] * 5 + [False] * 15)
    assert error == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    assert [(each.count, each.acceptable) for each in bins] == [(10, 0.0), (10, 0.5)]


@pytest.mark.parametrize("num_values", [1, 2, 4, 1000])
def test_the_area_under_the_curve_is_that_of_trapezoids_whatever_the_order_of_equal_values(num_values: int) -> None:
    draw = random.Random(num_values)
    good = [True] * 30 + [False] * 50
    values = [draw.randrange(num_values) / num_values for _ in good]
    limits = sorted(set(values), reverse=True)
    points = [(0.0, 0.0)]  # of the ROC curve: rates of false and of true positives
    for limit in limits:
        taken = [ok for value, ok in zip(values, good, strict=True) if value >= limit]
        points.append((taken.count(False) / 50, taken.count(True) / 30))
    area = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in itertools.pairwise(points))
    assert area_under_curve(values, good) == pytest.approx(area, abs=1e-12)
    assert area_under_curve(values[::-1], good[::-1]) == pytest.approx(area, abs=1e-12)


def test_words_of_the_reference_in_its_order_are_acceptable() -> None:
    reference = ["a", "man", "sleeps", "on", "the", "bench"]
    found = acceptable_words(["a", "man", "lies", "on", "a", "bench"], reference)
    assert found == [True, True, False, True, False, True]
    assert acceptable_words(["on", "bench", "a", "man"], ["a", "man", "on"]) == [False, False, True, True]
    # The longest block "b c" alone would be two words.
    assert acceptable_words([*"bcade"], [*"axdxebc"]) == [False, False, True, True, True]
    assert acceptable_words([], reference) == acceptable_words(["a"], [])[1:] == []


def test_features_of_words() -> None:
    posterior_TS = np.array([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])
    alignment = WordAlignment(("a", "b", "c"), ("x", "y"), posterior_TS, (), score=-2.0, probabilities=[0.5, 0.0])
    first, second = word_features(alignment, posterior_TS, None)
    assert tuple(first) == WORD_FEATURES
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    least = np.log(1e-4 / (1 - 1e-4))
    mean = np.sqrt(0.5 * 1e-4)
    mean = np.log(mean / (1 - mean))
    # The edges are their own neighbours: the means of the probabilities of first and last word.
    assert list(first.values()) == pytest.approx([0, mean, mean, 0.75, entropy, 0], abs=1e-6)
    assert list(second.values()) == pytest.approx([least, mean, mean, 1.0, 0.0, 0], abs=1e-6)
    assert word_features(WordAlignment(("a",), (), np.zeros((0, 1)), ()), np.zeros((0, 1)), None) == []


def test_features_of_a_translation() -> None:
    """The probability of EOS counts as that of a word."""
    posterior_TS = np.array([[0.75, 0.25, 0.0], [0.5, 0.0, 0.5]])
    alignment = WordAlignment(("a", "b", "c"), ("x", "y"), posterior_TS, (), score=-2.0, probabilities=[0.5, 0.1])
    entropies = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), np.log(2)
    expected = {
        "mean_log_probability": -2 / 3, "mean_probability": exp(-2 / 3), "unlikely_words": 1 / 2, "length": np.log(3),
        "length_ratio": np.log(2 / 3), "coverage": (1 + 0.25 + 0.5) / 3, "entropy": np.mean(entropies), "rare_words": 0,
    }  # fmt: skip
    assert features(alignment, posterior_TS, None) == pytest.approx(expected, abs=1e-6)
    assert features(alignment, posterior_TS, None, 0.4) == pytest.approx({**expected, AGREEMENT: 0.4}, abs=1e-6)
    assert features(WordAlignment(("a",), (), np.zeros((0, 1)), ()), np.zeros((0, 1)), None) is None


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path, words = tmp_path / "calibration.json", Regression(weights={"log_odds": 2.5}, bias=-1)
    own = Calibration(min_chrf=50, weights={AGREEMENT: 1, "length": 0.25}, bias=3, words=words, samples=4)
    own.save(path)
    assert Calibration.load(path) == own
    path.write_text('{"min_chrf": 50, "weights": {"length": 1}, "bias": 0}', "utf-8")
    least = Calibration.load(path)
    assert least == Calibration(min_chrf=50, weights={"length": 1}, bias=0)
    nothing = WordAlignment((), (), np.zeros((0, 0), np.float32), links=())
    assert least.confidences(nothing, nothing.weights, None) == {"confidence": 0.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"min_chrf": 50, "weights": {"other": 1}, "bias": 0}',
        '{"weights": {}}',
        '{"min_chrf": 50, "weights": {}, "bias": 0, "words": 1}',
        '{"min_chrf": 50, "weights": {}, "bias": 0, "samples": -1}',
        '{"min_chrf": 50, "weights": {"agreement": 1}, "bias": 0}',
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    with pytest.raises(UserError, match=r"has no calibration\.json"):
        Calibration.load(path)
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match="is damaged"):
        Calibration.load(path)
