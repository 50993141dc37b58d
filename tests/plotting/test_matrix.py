"""Pictures of alignments: files, words of any kind, size, gold links, turns, diagnostics."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from pictures import svg_texts
from PIL import Image

from nmt.alignment.extract import LinkOptions, extract_links
from nmt.alignment.links import WordAlignment
from nmt.core.errors import UserError
from nmt.plotting.matrix import MAX_WORDS, draw_matrix, plot_alignments
from nmt.plotting.style import style, write_figure

ODD_WORDS = (
    "\t", "\x00\x07", "$x^2$", "$", r"\frac", "_", "%", "<b>&", "a\u200bb", "\u202eabc", "\u0301",
    "\u200d", "\xa0", "\ud800", "\uffff", "W" * 500, "שלום", "السلام", "猫", "नमस्ते", "😀", "👩\u200d🚀",
    "Кот",
)  # fmt: skip


def pair(source: tuple[str, ...], target: tuple[str, ...]) -> WordAlignment:
    weights = np.random.default_rng(0).dirichlet(np.full(max(len(source), 1), 0.2), len(target))
    weights_32 = weights[:, : len(source)].astype(np.float32)
    return WordAlignment(source, target, weights_32, extract_links(weights_32, LinkOptions()))


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """The whole picture, as it is written."""
    file = BytesIO()
    with style():
        figure.savefig(file, format="png")
    return np.asarray(Image.open(file))


def shades(axes: Axes) -> npt.NDArray[np.float64]:
    (mesh,) = (artist for artist in axes.collections if isinstance(artist, QuadMesh))
    return np.asarray(mesh.get_array())


HOUSE = pair(("das", "Haus", "."), ("the", "house", "."))


@pytest.mark.quick(".svg*", ".pdf*")
@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")]
)
def test_each_format_is_written_and_the_same_each_time(tmp_path: Path, suffix: str, start: bytes) -> None:
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    write_figure(draw_matrix(HOUSE, title="Sentence", gold=({(0, 0)}, {(1, 1)})), first)
    write_figure(draw_matrix(HOUSE, title="Sentence", gold=({(0, 0)}, {(1, 1)})), second)
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()


def test_svg_holds_the_words_as_text_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "links.svg"
    write_figure(draw_matrix(pair(("Größe", "שלום", "100$", "x$"), ("größer", "猫")), title="5 $ and 6 $"), path)
    texts = svg_texts(path)
    assert texts[:6] == ["Größe", "שלום", "100$", "x$", "größer", "猫"]
    assert "5 $ and 6 $" in texts


def test_numbers_are_written_into_the_cells(tmp_path: Path) -> None:
    weights = np.array([[0.25, 0.0], [0.004, 1.0]], np.float32)
    alignment = WordAlignment(("a", "b"), ("c", "d"), weights, ((1, 1),))
    with_numbers, without = tmp_path / "with.svg", tmp_path / "without.svg"
    write_figure(draw_matrix(alignment, numbers=True), with_numbers)
    write_figure(draw_matrix(alignment), without)
    assert sorted(set(svg_texts(with_numbers)) - set(svg_texts(without))) == [".25"]
    assert svg_texts(with_numbers).count("1") == svg_texts(without).count("1") + 1


@pytest.mark.quick(".svg")
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_odd_words_are_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"odd{suffix}"
    write_figure(draw_matrix(pair(ODD_WORDS, ODD_WORDS), title="5 $ and 6 $", numbers=True), path)
    assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF", b"<?xm")
    if suffix == ".svg":
        texts = svg_texts(path)
        assert {"\\t", "\\x00\\x07", "a\\u200bb", "$x^2$", "\\ud800"} <= set(texts)


@pytest.mark.parametrize(("num_source", "num_target"), [(0, 0), (0, 2), (2, 0), (1, 1), (1, 30)])
def test_few_or_no_words(tmp_path: Path, num_source: int, num_target: int) -> None:
    path = tmp_path / "few.svg"
    write_figure(draw_matrix(pair(("ja",) * num_source, ("yes",) * num_target), numbers=True), path)
    assert svg_texts(path).count("ja") == num_source
    assert svg_texts(path).count("yes") == num_target


def test_nothing_drawn_is_cut_off() -> None:
    """The outermost pixels are the margin, however long the words at the edges and the title are."""
    words = ("Donaudampfschifffahrtsgesellschaft", "x", "Rindfleischetikettierungsüberwachung")
    picture = pixels(draw_matrix(pair(words, words), title="Sentence 1", gold=({(0, 0)}, {(1, 1)})))
    for edge in (picture[:8], picture[-8:], picture[:, :8], picture[:, -8:]):
        assert (edge == 255).all()


def test_target_words_run_down_and_source_words_along_the_top() -> None:
    weights = np.array([[0, 0], [0, 0], [0, 1]], np.float32)
    figure = draw_matrix(WordAlignment(("s0", "s1"), ("t0", "t1", "t2"), weights, ()))
    canvas = FigureCanvasAgg(figure)  # of the cells alone: the rest is outside of the figure until it is written
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())
    row, column = np.median(np.argwhere((picture[..., 2] > 70) & (picture[..., 0] < 30)), axis=0)
    assert column / picture.shape[1] == pytest.approx(0.75, abs=0.02)
    assert row / picture.shape[0] == pytest.approx(5 / 6, abs=0.02)


def test_gold_of_another_tokenization_is_refused() -> None:
    message = r"gold link 0-3 is outside the pair of 3 source and 3 target.*\n.*--tokenized"
    with pytest.raises(UserError, match=message):
        draw_matrix(HOUSE, gold=(set(), {(0, 3)}))


def test_the_file_of_one_pair_has_the_name_itself_and_no_number(tmp_path: Path) -> None:
    assert plot_alignments([HOUSE], tmp_path / "one.svg") == [tmp_path / "one.svg"]
    assert "Sentence 1" not in svg_texts(tmp_path / "one.svg")


def test_files_of_many_pairs_are_numbered_and_long_pairs_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long_pair = pair(("x",) * (MAX_WORDS + 1), ("y",))
    written = plot_alignments(iter([HOUSE, long_pair, HOUSE]), tmp_path / "links.svg")
    assert [path.name for path in written] == ["links-0001.svg", "links-0003.svg"]
    assert "Sentence 3" in svg_texts(written[1])
    assert "sentence 2 has 401 words" in capsys.readouterr().err
    for pairs in ([long_pair], [long_pair, long_pair], []):
        with pytest.raises(UserError, match="no sentence pairs of at most 400 words"):
            plot_alignments(pairs, tmp_path / "long.pdf")


def test_each_turn_of_a_dialogue_has_a_column_in_the_shades_of_its_attention() -> None:
    weights = np.full((2, 4), 0.25, np.float32)
    turn_weights = np.array([[0.25, 0.25, 0.5], [1, 0, 0]], np.float32)
    turns: dict[str, Any] = {"turns": (0, 0, 2, 2), "turn_weights": turn_weights}
    (matrix,) = draw_matrix(WordAlignment(("a", "b", "c", "d"), ("x", "y"), weights, (), **turns)).axes
    strip, scale = matrix.child_axes
    assert [label.get_text() for label in strip.get_xticklabels()] == ["turn 1", "turn 2", "current turn"]
    np.testing.assert_array_equal(shades(strip), turn_weights)
    matrix_box, box, scale_box = (axes.get_window_extent() for axes in (matrix, strip, scale))
    assert matrix_box.x1 < box.x0 < box.x1 < scale_box.x0
    assert (box.y0, box.y1) == pytest.approx((matrix_box.y0, matrix_box.y1))
    assert box.width / 3 == pytest.approx(matrix_box.width / 4), "cells have one size"
    empty = WordAlignment((), ("x", "y"), weights[:, :0], (), turn_weights=turn_weights[:, :1])
    assert pixels(draw_matrix(empty)).size


def test_diagnostics_stand_beside_the_words_with_their_numbers() -> None:
    figures: dict[str, Any] = {
        "source_diagnostics": {"ponder": (1, 2.5, 1)},
        "target_diagnostics": {"ponder": (1, 2, 4)},
    }
    (matrix,) = draw_matrix(WordAlignment(HOUSE.source, HOUSE.target, HOUSE.weights, (), **figures)).axes
    right, below, _ = matrix.child_axes
    assert [text.get_text() for text in below.texts] == ["1", "2.5", "1"]
    assert [text.get_text() for text in right.texts] == ["1", "2", "4"]
    np.testing.assert_allclose(shades(right), [[0.25], [0.5], [1]])
    assert below.get_window_extent().y1 < matrix.get_window_extent().y0
    assert right.get_window_extent().x0 > matrix.get_window_extent().x1
