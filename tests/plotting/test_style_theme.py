"""Themes: the sizes of fonts, the colours of dark slides, file types, and the option of the commands."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

import nmt
from nmt.alignment.links import WordAlignment
from nmt.plotting.curves import draw_legend
from nmt.plotting.matrix import draw_matrix
from nmt.plotting.style import BACKGROUND, Picture, curves_size, style, theme

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
    with pytest.raises(nmt.UserError, match="no theme 'beamer'") as caught, nmt.theme("beamer"):
        pass
    assert "slides-dark" in caught.value.remedy
    with pytest.raises(KeyError), theme("slides"):
        raise KeyError
    assert smallest_font(DRAW["matrix"]()) == smallest_font(drawn("matrix", "paper"))


def test_a_command_draws_in_a_theme(
    tiny_model: Path, run_nmt: "Callable[..., subprocess.CompletedProcess[str]]", tmp_path: Path
) -> None:
    sizes = {}
    (tmp_path / "a.de").write_text("Der Hund schläft.\n", encoding="utf-8")
    for name in ("paper", "slides-dark"):
        picture = tmp_path / f"{name}.svg"
        done = run_nmt("align", tiny_model, tmp_path / "a.de", tmp_path / "a.de", "-o", picture, "--theme", name)
        assert done.returncode == 0, done.stderr
        sizes[name] = max(float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", picture.read_text("utf-8")))
    assert sizes["slides-dark"] > 1.5 * sizes["paper"]
