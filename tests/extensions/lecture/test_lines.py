"""Pictures of alignments as lines between two rows of words."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from pictures import svg_texts

from nmt.alignment.links import WordAlignment
from nmt.core.errors import UserError
from nmt.extensions.lecture.lines import MAX_LINE_WIDTH, draw_lines
from nmt.plotting.matrix import plot_alignments
from nmt.plotting.style import COLOURS, GOLD

WEIGHTS = np.array([[0.75, 0.25, 0.0], [0.01, 0.4, 0.59]], np.float32)
PAIR = WordAlignment(("das", "Haus", "brennt"), ("the", "$burning$"), WEIGHTS, ((0, 0), (2, 1)))


def test_a_line_is_as_thick_as_its_weight_and_joins_its_words() -> None:
    figure = draw_lines(PAIR)
    axes = figure.axes[0]
    middles = {text.get_text(): text.get_position()[0] for text in axes.texts}
    expected = {(s, t): WEIGHTS[t, s] for t, s in zip(*(WEIGHTS >= 0.02).nonzero(), strict=True)}
    found = {}
    for line in axes.lines:
        upper, lower = map(float, np.asarray(line.get_xdata()))
        [s] = [s for s, word in enumerate(PAIR.source) if middles[word] == upper]
        [t] = [t for t, word in enumerate(PAIR.target) if middles[word] == lower]
        found[s, t] = line.get_linewidth() / MAX_LINE_WIDTH
        assert (line.get_color() == COLOURS[0]) == ((s, t) in PAIR.links)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.quick("3")
@pytest.mark.parametrize("num_words", [3, 200])
def test_words_do_not_overlap_and_stay_inside(num_words: int) -> None:
    words = tuple(f"Wort{number}" for number in range(num_words))
    figure = draw_lines(WordAlignment(words, words[:2], np.zeros((2, num_words), np.float32), ()))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts][:num_words]
    assert boxes[0].x0 >= 0
    assert boxes[-1].x1 <= figure.bbox.width
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_gold_links_are_drawn_and_checked() -> None:
    [axes] = draw_lines(PAIR, gold=({(0, 0)}, {(0, 0), (1, 1)})).axes
    gold_lines = [line for line in axes.lines if line.get_color() == GOLD]
    assert [line.get_linestyle() != "-" for line in gold_lines] == [False, True]
    with pytest.raises(UserError, match="gold link 3-0"):
        draw_lines(PAIR, gold=({(3, 0)}, set()))


@pytest.mark.parametrize("alignment", [PAIR, WordAlignment((), (), np.zeros((0, 0), np.float32), ())])
def test_numbers_and_no_words(tmp_path: Path, alignment: WordAlignment) -> None:
    [path] = plot_alignments([alignment], tmp_path / "lines.svg", numbers=True, draw=draw_lines)
    texts = svg_texts(path)
    assert texts[:5] == (["das", "Haus", "brennt", "the", "$burning$"] if alignment.source else [])
    assert ({"0.75", "0.59"} <= set(texts)) == bool(alignment.source)
