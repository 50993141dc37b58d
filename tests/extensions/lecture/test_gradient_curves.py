"""The picture of gradient norms by distance."""

from pathlib import Path

import numpy as np

import nmt
from nmt.extensions.lecture.gradient_curves import plot_gradients
from nmt.extensions.lecture.gradients import GradientNorms


def test_norms_of_a_model_are_drawn(tiny_model: Path) -> None:
    pairs = [("Der Hund schläft.", "The dog sleeps.")] * 10
    norms = nmt.gradient_norms(nmt.load(tiny_model, "cpu"), pairs, "tiny")
    [line] = nmt.plot_gradients([norms]).axes[0].lines
    assert (line.get_label(), len(line.get_ydata())) == ("tiny", len(norms.mean_T))


def test_gradients_have_a_line_for_each_name() -> None:
    gradients = plot_gradients(
        [GradientNorms("rnn", np.array([2.0, 4.0, 0.4])), GradientNorms("lstm", np.array([1.0, 1.0, 0.5]))]
    )
    (axes,) = gradients.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.5, 1, 0.1], [1, 1, 0.5]]
    assert axes.get_yscale() == "log"


def test_a_gradient_of_zero_is_left_out() -> None:
    [line] = plot_gradients([GradientNorms("rnn", np.array([1.0, 1e-200, 0.0]))]).axes[0].lines
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True]
