"""Calibration: its figures are those of examples that the regression has not seen."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.extensions.quality.calibrate import NUM_FOLDS, Examples, calibrate
from nmt.extensions.quality.confidence import Calibration


def test_figures_are_those_of_examples_outside_the_fold(tmp_path: Path) -> None:
    """A feature is 1 in one fold alone, all of whose examples are acceptable; half of the other ones are."""
    firsts = [i % NUM_FOLDS == 0 for i in range(20 * NUM_FOLDS)]
    acceptable = [first or i // NUM_FOLDS % 2 == 0 for i, first in enumerate(firsts)]
    rows, words = ([{name: float(first)} for first in firsts] for name in ("coverage", "link"))
    examples = Examples(rows, [100.0 * ok for ok in acceptable], [[row] for row in words], [[ok] for ok in acceptable])
    found = calibrate(examples, ModelDirectory(tmp_path), 50)
    fitted = Calibration.load(tmp_path / "calibration.json")
    assert fitted.probability({"coverage": 1}) > 0.9 < fitted.words.probability({"link": 1})
    # The four other folds don't tell what a 1 means: its examples get the share of acceptable ones among theirs.
    assert max(each.confidence for each in found.bins) < 0.6
    assert found.word_error == found.error == pytest.approx(0.6 - 0.5, abs=0.03)


def test_only_one_kind_of_translations_is_refused() -> None:
    with pytest.raises(UserError, match="have a chrF of at least 50"):
        Examples([{"length": 1.0}, {"length": 2.0}], [80.0, 90.0], [[], []], [[], []]).fit(50, [0, 1])
