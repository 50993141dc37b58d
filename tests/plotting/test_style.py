"""What all pictures share: invisible characters, the fonts of scripts, files, and themes with their option."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixture_types import RunNmt
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

import nmt
from nmt.alignment.links import WordAlignment
from nmt.core.errors import UserError
from nmt.plotting.curves import draw_legend
from nmt.plotting.matrix import draw_matrix
from nmt.plotting.style import (
    BACKGROUND,
    Picture,
    curves_size,
    font_families,
    style,
    theme,
    visible,
    write_figure,
    write_figures,
)

NO_GLYPH = "\U000f0000"
"""A character of private use, which no font has."""


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("Haus 7", "Haus 7"),
        ("a\u3000c", "a\\u3000c"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("x" * 42, "x" * 42),
        ("x" * 43, "x" * 41 + "…"),
    ],
)
def test_visible(word: str, shown: str) -> None:
    assert visible(word) == shown


def test_fonts_are_chosen_by_what_they_cover(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    families = font_families(["abc"])
    assert families == ["DejaVu Sans"]
    covered = {"DejaVu Sans": "abc", "Noto Sans Kana": "かな", "DejaVu Serif": "猫か", "DejaVu Sans Mono": "ก"}
    monkeypatch.setattr("nmt.plotting.style._characters", lambda family: frozenset(covered.get(family, "")))
    monkeypatch.setattr("nmt.plotting.style._warned", set())
    assert font_families(["猫か", "abc", "ก"]) == ["DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif"]
    assert not capsys.readouterr().err
    for _ in range(2):
        font_families(["猫", "שλ"])
    message = capsys.readouterr().err
    assert message.count("Warning") == 1
    assert "boxes in .png and .pdf: λ ש." in message
    assert "apt install fonts-noto-core fonts-noto-cjk" in message


def test_a_character_without_a_font_gives_no_second_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Matplotlib's has no remedy. A notebook shows pictures by ``_repr_svg_``; some measure words to place them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with style([NO_GLYPH]):
            picture = Picture(figsize=(1, 1))
            picture.text(0, 0, NO_GLYPH).get_window_extent()
        picture.savefig(tmp_path / "box.png")
        picture._repr_svg_()
    assert not caught
    assert capsys.readouterr().err.count("Warning") == 1


def test_figures_are_pages_of_a_pdf_and_numbered_files_otherwise(tmp_path: Path) -> None:
    figures = [(number, Figure(figsize=(1, 1))) for number in (1, 2, 4)]
    assert write_figures(figures, tmp_path / "many.pdf") == [tmp_path / "many.pdf"]
    assert b"/Count 3" in (tmp_path / "many.pdf").read_bytes()
    written = write_figures(figures, tmp_path / "many.png")
    assert [path.name for path in written] == ["many-0001.png", "many-0002.png", "many-0004.png"]
    assert write_figures([(None, figures[0][1])], tmp_path / "one.SVG") == [tmp_path / "one.SVG"]
    assert write_figures([], tmp_path / "none.pdf") == []


def test_bad_paths_are_refused(tmp_path: Path) -> None:
    for name in ("links", "links.jpg"):
        with pytest.raises(UserError, match=rf"{name}.*\n.*\.png, \.svg, \.pdf"):
            write_figure(Figure(), tmp_path / name)
    for suffix in ("png", "pdf"):
        with pytest.raises(UserError, match="can't be written"):
            write_figure(Figure(), tmp_path / "missing" / f"links.{suffix}")


@pytest.mark.quick("png")
@pytest.mark.posix
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, suffix: str) -> None:
    """The disk is full in the middle of the new picture, for commands and for ``savefig`` of a notebook."""
    import resource

    path = tmp_path / f"links.{suffix}"
    path.write_bytes(b"old")
    picture = Picture(figsize=(3, 3))
    picture.subplots().plot([1, 2])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for write in (lambda: write_figure(picture, path), lambda: picture.savefig(path)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            with pytest.raises((UserError, OSError), match=r"(?i)file too large"):
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {path.name: b"old"}
        write()
        assert len(path.read_bytes()) > 2000
        path.write_bytes(b"old")


WORDS = ("The", "old", "teacher", "buys", "a", "red", "book", ".")
LINKS = tuple((word, word) for word in range(len(WORDS)))
ALIGNMENT = WordAlignment(WORDS, WORDS, np.eye(len(WORDS), dtype=np.float32) * 0.9 + 0.01, LINKS)


def draw_curves() -> Picture:
    with style(["rnn", "lstm"]):
        figure = Picture(figsize=curves_size(7.5, 4.7), layout="constrained")
        axes = figure.subplots()
        for name, values in {"rnn": [1.0, 0.1, 0.01], "lstm": [1.0, 0.9, 0.8]}.items():
            axes.plot(values, label=name)
        axes.set_xlabel("words")
        draw_legend(figure)
    return figure


DRAW: dict[str, Callable[[], Picture]] = {
    "matrix": lambda: draw_matrix(ALIGNMENT, (set(LINKS), set(LINKS)), "A title", numbers=True),
    "curves": draw_curves,
}
each_picture = pytest.mark.parametrize("name", DRAW)


def drawn(name: str, in_theme: str) -> Picture:
    with theme(in_theme):
        return DRAW[name]()


def smallest_font(figure: Figure) -> float:
    return min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible())


def contrast(first: object, second: object) -> float:
    """The ratio of contrast of WCAG 2.2."""

    def luminance(colour: object) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.quick("matrix")
@each_picture
def test_slides_have_large_fonts_and_fit_a_slide(name: str) -> None:
    paper, slides = drawn(name, "paper"), drawn(name, "slides")
    assert smallest_font(slides) >= 12 > smallest_font(paper)
    assert slides.get_figwidth() < 13.3


@pytest.mark.quick("matrix")
@each_picture
def test_dark_slides_have_light_text_on_a_dark_ground(name: str, tmp_path: Path) -> None:
    figure = drawn(name, "slides-dark")
    for _ in range(2):  # to write it again changes nothing
        figure.savefig(tmp_path / "dark.png")
        first_pixel = imread(tmp_path / "dark.png")[2, 2, :3]
        assert to_hex(first_pixel) == BACKGROUND
    outside = [
        text for text in figure.findobj(Text) if text.get_text() and text.zorder != 5 and not text.get_bbox_patch()
    ]
    assert outside
    assert min(contrast(text.get_color(), BACKGROUND) for text in outside) > 4.5
    boxed = [text for text in figure.findobj(Text) if text.get_bbox_patch()]
    assert all(contrast(text.get_color(), text.get_bbox_patch().get_facecolor()) > 4.5 for text in boxed)


def test_a_theme_ends_with_its_context_and_must_exist() -> None:
    with pytest.raises(UserError, match=r"no theme 'beamer'.*\n.*slides-dark"), nmt.theme("beamer"):
        pass
    with pytest.raises(KeyError), theme("slides"):
        raise KeyError
    assert smallest_font(DRAW["matrix"]()) == smallest_font(drawn("matrix", "paper"))


def test_a_command_draws_in_a_theme(tiny_model: Path, run_nmt: RunNmt, tmp_path: Path) -> None:
    sizes = {}
    (tmp_path / "a.de").write_text("Der Hund schläft.\n", encoding="utf-8")
    for name in ("paper", "slides-dark"):
        picture = tmp_path / f"{name}.svg"
        run_nmt("align", tiny_model, tmp_path / "a.de", tmp_path / "a.de", "-o", picture, "--theme", name, check=True)
        sizes[name] = max(float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", picture.read_text("utf-8")))
    assert sizes["slides-dark"] > 1.5 * sizes["paper"]
