"""The picture of gradient norms by distance."""

import numpy as np
import pytest

from nmt.extensions.lecture.gradient_curves import plot_gradients
from nmt.extensions.lecture.gradients import GradientNorms


def test_gradients_have_a_line_for_each_name_without_those_of_zero() -> None:
    norms = {"rnn": [2.0, 4.0, 0.4], "lstm": [1.0, 1.0, 0.5], "zero": [1.0, 1e-200, 0.0]}
    (axes,) = plot_gradients(GradientNorms(name, np.array(mean_T)) for name, mean_T in norms.items()).axes
    assert [line.get_label() for line in axes.lines] == [*norms]
    found = [list(line.get_ydata()) for line in axes.lines]
    assert found == [[0.5, 1, 0.1], [1, 1, 0.5], pytest.approx([1, 1e-200, np.nan], nan_ok=True)]
    assert axes.get_yscale() == "log"
    assert "tokens" in axes.get_xlabel()  # of which a word may have several
