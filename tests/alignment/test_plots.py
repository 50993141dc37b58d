"""Pictures of alignments: files, words of any kind, size, gold, fonts."""

import logging
import time
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nmt import fonts
from nmt.alignment.links import WordAlignment, extract_links
from nmt.alignment.matrix import MAX_WORDS
from nmt.alignment.plots import plot_alignment, plot_alignments
from nmt.errors import UserError
from nmt.fonts import font_families, script_of, visible

ODD_WORDS = (
    "", "\t", "\x00\x07", "$x^2$", "$", r"\frac", "_", "%", "<b>&", "a\u200bb", "\u202eabc", "\u0301",
    "\u200d", "\xa0", "\ud800", "\uffff", "W" * 500, "שלום", "السلام", "猫", "नमस्ते", "😀", "👩\u200d🚀",
    "Кот",
)  # fmt: skip


def pair(source: tuple[str, ...], target: tuple[str, ...]) -> WordAlignment:
    weights = np.random.default_rng(0).dirichlet(np.full(max(len(source), 1), 0.2), len(target))
    weights_32 = weights[:, : len(source)].astype(np.float32)
    return WordAlignment(source, target, weights_32, extract_links(weights_32))


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def svg_texts(path: Path) -> list[str]:
    root = xml.etree.ElementTree.parse(path).getroot()
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


HOUSE = pair(("das", "Haus", "."), ("the", "house", "."))


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")]
)
def test_each_format_is_written_and_the_same_each_time(tmp_path: Path, suffix: str, start: bytes) -> None:
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    plot_alignment(HOUSE, first, title="Sentence", gold=({(0, 0)}, {(1, 1)}))
    plot_alignment(HOUSE, second, title="Sentence", gold=({(0, 0)}, {(1, 1)}))
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()


def test_svg_holds_the_words_as_text_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "links.svg"
    plot_alignment(pair(("Größe", "שלום", "100$", "x$"), ("größer", "猫")), path, title="5 $ and 6 $")
    texts = svg_texts(path)
    assert texts[:6] == ["Größe", "שלום", "100$", "x$", "größer", "猫"]
    assert "5 $ and 6 $" in texts


def test_numbers_are_written_into_the_cells(tmp_path: Path) -> None:
    weights = np.array([[0.25, 0.0], [0.004, 1.0]], np.float32)
    alignment = WordAlignment(("a", "b"), ("c", "d"), weights, ((1, 1),))
    with_numbers, without = tmp_path / "with.svg", tmp_path / "without.svg"
    plot_alignment(alignment, with_numbers, numbers=True)
    plot_alignment(alignment, without)
    assert sorted(set(svg_texts(with_numbers)) - set(svg_texts(without))) == [".25"]
    assert svg_texts(with_numbers).count("1") == svg_texts(without).count("1") + 1


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_odd_words_are_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"odd{suffix}"
    plot_alignment(pair(ODD_WORDS, ODD_WORDS), path, title="a \x00 b $\n$", numbers=True)
    assert path.stat().st_size > 0
    if suffix == ".svg":
        texts = svg_texts(path)
        assert {"∅", "\\t", "\\x00\\x07", "a\\u200bb", "$x^2$", "\\ud800"} <= set(texts)


@pytest.mark.parametrize(("num_source", "num_target"), [(0, 0), (0, 2), (2, 0), (1, 1), (1, 30)])
def test_few_or_no_words(tmp_path: Path, num_source: int, num_target: int) -> None:
    path = tmp_path / "few.svg"
    plot_alignment(pair(("ja",) * num_source, ("yes",) * num_target), path, numbers=True)
    assert svg_texts(path).count("ja") == num_source
    assert svg_texts(path).count("yes") == num_target


def test_sixty_words_in_time_and_larger_than_two() -> None:
    words = tuple(f"word{i}" for i in range(60))
    plot_alignment(HOUSE)  # loads the fonts
    start = time.process_time()
    large = pixels(plot_alignment(pair(words, words)))
    assert time.process_time() - start < 3
    small = pixels(plot_alignment(pair(words[:2], words[:2])))
    assert small.shape[0] < 500 < 1500 < large.shape[0] < 4000


def test_nothing_drawn_is_cut_off() -> None:
    """The outermost pixels are the margin, however long the words at the edges and the title are."""
    words = ("Donaudampfschifffahrtsgesellschaft", "x", "Rindfleischetikettierungsüberwachung")
    for title in (None, "A title that is much longer than the picture is wide " * 3):
        picture = pixels(plot_alignment(pair(words, words), title=title, gold=({(0, 0)}, {(1, 1)})))
        border = np.concatenate([picture[:8].reshape(-1, 4), picture[-8:].reshape(-1, 4)])
        sides = np.concatenate([picture[:, :8].reshape(-1, 4), picture[:, -8:].reshape(-1, 4)])
        assert (border == 255).all()
        assert (sides == 255).all()


def test_weights_links_and_gold_each_change_the_picture() -> None:
    words = ("a", "b")
    weights = np.full((2, 2), 0.25, np.float32)
    plain = WordAlignment(words, words, weights, ((0, 0),))
    nothing: tuple[set[tuple[int, int]], set[tuple[int, int]]] = (set(), set())
    pictures = [
        plot_alignment(plain, gold=nothing),
        plot_alignment(plain, gold=({(1, 0)}, set())),
        plot_alignment(plain, gold=({(0, 1)}, set())),
        plot_alignment(plain, gold=({(1, 0)}, {(0, 1)})),
        plot_alignment(WordAlignment(words, words, weights, ((1, 0),)), gold=nothing),
        plot_alignment(WordAlignment(words, words, weights * 2, ((0, 0),)), gold=nothing),
    ]
    assert len({pixels(figure).tobytes() for figure in pictures}) == len(pictures)


def test_possible_links_of_the_gold_are_dashed() -> None:
    def orange(figure: Figure) -> int:
        picture = pixels(figure)
        (left, bottom), (right, top) = figure.axes[0].get_window_extent().get_points().astype(int)
        inside = picture[len(picture) - top : len(picture) - bottom, left:right].astype(int)
        return int(np.sum((inside[..., 0] > 200) & (inside[..., 2] < 60)))

    cells = {(0, 0), (1, 0), (2, 2)}
    sure = orange(plot_alignment(HOUSE, gold=(cells, set())))
    possible = orange(plot_alignment(HOUSE, gold=(set(), cells)))
    assert 0.3 * sure < possible < 0.8 * sure


def test_target_words_run_down_and_source_words_along_the_top() -> None:
    weights = np.array([[0, 0], [0, 0], [0, 1]], np.float32)
    figure = plot_alignment(WordAlignment(("s0", "s1"), ("t0", "t1", "t2"), weights, ()))
    picture = pixels(figure)
    dark = np.argwhere((picture[..., 2] > 70) & (picture[..., 0] < 30))
    (left, bottom), (right, top) = figure.axes[0].get_window_extent().get_points()
    height = picture.shape[0]
    in_matrix = dark[(dark[:, 1] > left) & (dark[:, 1] < right)]
    row, column = np.median(in_matrix, axis=0)
    assert (column - left) / (right - left) == pytest.approx(0.75, abs=0.02)
    assert (row - (height - top)) / (top - bottom) == pytest.approx(5 / 6, abs=0.02)


def test_gold_of_another_tokenization_is_refused() -> None:
    with pytest.raises(UserError, match="gold link 0-3 is outside the pair of 3 source and 3 target") as error:
        plot_alignment(HOUSE, gold=(set(), {(0, 3)}))
    assert "--tokenized" in error.value.remedy


def test_bad_paths_and_long_sentences_are_refused(tmp_path: Path) -> None:
    for name in ("links", "links.jpg"):
        with pytest.raises(UserError, match=name) as error:
            plot_alignment(HOUSE, tmp_path / name)
        assert ".png, .svg, .pdf" in error.value.remedy
    for suffix in ("png", "pdf"):
        with pytest.raises(UserError, match="cannot write the picture"):
            plot_alignment(HOUSE, tmp_path / "missing" / f"links.{suffix}")
        with pytest.raises(UserError, match="cannot write the picture"):
            plot_alignments([HOUSE], tmp_path / "missing" / f"links.{suffix}")
    with pytest.raises(UserError, match="401 words is too long"):
        plot_alignment(pair(("x",) * (MAX_WORDS + 1), ("y",)))


def test_many_pairs_give_numbered_files_and_one_pair_the_name_itself(tmp_path: Path) -> None:
    written = plot_alignments(iter([HOUSE, HOUSE, HOUSE]), tmp_path / "links.svg")
    assert [path.name for path in written] == ["links-0001.svg", "links-0002.svg", "links-0003.svg"]
    assert "Sentence 2" in svg_texts(written[1])
    assert plot_alignments([HOUSE], tmp_path / "one.svg") == [tmp_path / "one.svg"]
    assert "Sentence 1" not in svg_texts(tmp_path / "one.svg")


def test_many_pairs_give_one_pdf_with_a_page_each(tmp_path: Path) -> None:
    path = tmp_path / "links.pdf"
    assert plot_alignments([HOUSE] * 3, path, titles=["a", "b", "c"]) == [path]
    assert b"/Count 3" in path.read_bytes()


def test_long_pairs_among_many_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    long_pair = pair(("x",) * (MAX_WORDS + 1), ("y",))
    written = plot_alignments([HOUSE, long_pair, HOUSE], tmp_path / "links.png")
    assert [path.name for path in written] == ["links-0001.png", "links-0003.png"]
    assert "sentence 2 has 401 words" in caplog.text
    with pytest.raises(UserError, match="all sentence pairs"):
        plot_alignments([long_pair, long_pair], tmp_path / "long.pdf")


def test_no_pairs_or_too_little_gold(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sentence pairs"):
        plot_alignments([], tmp_path / "links.pdf")
    with pytest.raises(UserError, match="gold links for 1 sentence pairs"):
        plot_alignments([HOUSE, HOUSE], tmp_path / "links.svg", gold=[({(0, 0)}, set())])


def test_errors_of_the_alignments_are_not_called_errors_of_writing(tmp_path: Path) -> None:
    def broken() -> Iterator[WordAlignment]:
        yield HOUSE
        yield HOUSE
        raise OSError("the model is gone")

    with pytest.raises(OSError, match="the model is gone"):
        plot_alignments(broken(), tmp_path / "links.pdf")


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("Haus", "Haus"),
        ("", "∅"),
        ("a b\u3000c", "a␣b␣c"),
        ("\u0301x", "◌\u0301x"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u200c", "\\u200c"),
        ("\u2028", "\\u2028"),
        ("x" * 42, "x" * 42),
        ("x" * 43, "x" * 41 + "…"),
    ],
)
def test_visible(word: str, shown: str) -> None:
    assert visible(word) == shown


def test_scripts() -> None:
    assert [script_of(character) for character in "猫はー。한กक😀"] == [
        "CJK", "CJK", "CJK", "CJK", "Hangul", "Thai", "Devanagari", "symbols and emoji",
    ]  # fmt: skip


def test_fonts_are_chosen_by_what_they_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    covered = {"DejaVu Sans": "abc", "Kana": "かな", "Half": "猫か", "Both": "かな猫", "Thai": "ก"}
    monkeypatch.setattr(fonts, "_coverage", lambda family: frozenset(covered[family]))
    monkeypatch.setattr(fonts, "_candidates", lambda script: ["Kana", "Half", "Both", "Thai"])
    assert font_families(["abc"]) == ["DejaVu Sans"]
    assert font_families(["かな猫", "ก"]) == ["DejaVu Sans", "Both", "Thai"]
    covered["Both"] = ""
    assert font_families(["かな猫"]) == ["DejaVu Sans", "Kana", "Half"]


def test_characters_without_a_font_are_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(fonts, "_warned", set())
    monkeypatch.setattr(fonts, "_candidates", lambda script: ["DejaVu Sans"])
    alignment = pair(("猫", "は"), ("ไก่", "cat"))
    with caplog.at_level(logging.WARNING):
        for name in ("one.png", "two.pdf"):
            plot_alignment(alignment, tmp_path / name)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "CJK ('は'), Thai ('ก')" in message
    assert "apt install fonts-noto-cjk fonts-noto-core" in message
