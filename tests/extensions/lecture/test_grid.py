"""The picture of every head: how many panels, whose weights, which are marked, and where the words are."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from nmt.alignment.links import WordAlignment
from nmt.extensions.lecture.grid import draw_grid

SOURCE, TARGET = ("Er", "hat", "geschlafen", "."), ("He", "slept", ".")
LAYERS = [[f"{layer}:{head}" for head in (1, 2, 3)] for layer in (1, 2)]
WEIGHTS = list(np.random.default_rng(0).dirichlet(np.full(4, 0.5), (6, 3)).astype(np.float32))
PAIR = WordAlignment(SOURCE, TARGET, WEIGHTS[-1], (), head_weights=WEIGHTS)


def panels(chosen: tuple[int, ...] = (0,)) -> list[Axes]:
    return [axes for axes in draw_grid(PAIR, layers=LAYERS, chosen=chosen).axes if axes.get_title("left")]


def test_each_head_has_a_panel_with_its_name_and_its_weights() -> None:
    found = panels()
    assert [axes.get_title("left") for axes in found] == ["1:1", "1:2", "1:3", "2:1", "2:2", "2:3"]
    for axes, weights in zip(found, WEIGHTS, strict=True):
        (shades,) = (artist for artist in axes.collections if isinstance(artist, QuadMesh))
        np.testing.assert_array_equal(np.asarray(shades.get_array()).reshape(3, 4), weights)
        assert (shades.norm.vmin, shades.norm.vmax) == (0, 1), "heads must be comparable"


def test_layers_are_rows_heads_are_columns_and_words_stand_along_the_edges() -> None:
    found = panels()
    boxes = [axes.get_position() for axes in found]
    assert boxes[0].x0 < boxes[1].x0 < boxes[2].x0
    assert [box.x0 for box in boxes[:3]] == pytest.approx([box.x0 for box in boxes[3:]])
    assert boxes[3].y1 < boxes[0].y0, "the first layer is above the second"
    assert {box.y0 for box in boxes[3:]} == {boxes[3].y0}
    with_source = [list(SOURCE)] * 3 + [[]] * 3
    with_target = [list(TARGET), [], []] * 2
    assert [[label.get_text() for label in axes.get_xticklabels()] for axes in found] == with_source
    assert [[label.get_text() for label in axes.get_yticklabels()] for axes in found] == with_target


def test_the_heads_that_links_come_from_are_framed() -> None:
    found = panels(chosen=(1, 5))
    assert [bool(axes.patches) for axes in found] == [False, True, False, False, False, True]
