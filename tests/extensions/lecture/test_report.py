"""The HTML report: what it carries, and how it behaves in a real browser."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nmt.alignment.links import Links, WordAlignment
from nmt.core.errors import UserError
from nmt.extensions.lecture.report import alignment_page
from tests.extensions.lecture.test_film import data_of
from tests.extensions.windows import SCHEMES_AND_WIDTHS, check_accessible, open_details, show_in, silent_window

HEADS = ["mean of 2 heads, which links come from", "layer 1 head 1", "layer 1 head 2"]
MODEL: Any = SimpleNamespace(
    recipe=SimpleNamespace(data=SimpleNamespace(source="de", target="en")),
    model=SimpleNamespace(decoder=SimpleNamespace(heads=[SimpleNamespace(name=name) for name in HEADS[1:]])),
    aligner=SimpleNamespace(heads=SimpleNamespace(heads=[0, 1])),
)
SOURCE = ("Der", "Hund", "<b>bellt</b>", ".")
TARGET = ("The", "dog", "</script>", "barks", ".")
MEAN = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float32)
HEAD = np.full((5, 4), 0.25, dtype=np.float32)
LINKS = ((0, 0), (1, 1), (2, 3), (3, 4))
GOLD: list[tuple[Links, Links]] = [({(0, 0), (1, 1)}, {(1, 1), (2, 2)}), (set(), set())]


def sentences() -> list[list[WordAlignment]]:
    best = WordAlignment(
        SOURCE, TARGET, MEAN, LINKS, score=-1.25, probabilities=[0.9, 0.8, 0.1, 0.7, 1.0], head_weights=[HEAD]
    )
    second = WordAlignment(
        SOURCE, ("A", "dog"), MEAN[:2], ((0, 0),), score=-2.5, probabilities=[0.5, 0.5], head_weights=[HEAD[:2]]
    )
    arabic = WordAlignment(("الولد", "الصغير"), ("The", "boy"), MEAN[:2, :2], ((0, 1),), head_weights=[HEAD[:2, :2]])
    return [[best, second], [arabic]]


def page(sentences: Sequence[Sequence[WordAlignment]], gold: list[tuple[Links, Links]] = GOLD) -> str:
    return alignment_page(MODEL, sentences, gold, "<of> a test", None)


def test_the_page_carries_words_links_and_weights() -> None:
    data = data_of(page(sentences()))
    assert data["heads"] == HEADS
    first, second = data["sentences"]
    assert (first["source"], first["candidates"][0]["target"]) == ([*SOURCE], [*TARGET])
    assert first["candidates"][0]["links"] == [list(link) for link in LINKS]
    assert first["gold"] == {"sure": [[0, 0], [1, 1]], "possible": [[2, 2]]}
    assert (first["candidates"][1]["score"], second["candidates"][0]["score"]) == (-2.5, None)
    assert second["gold"] == {"sure": [], "possible": []}
    for weights, text in zip((MEAN, HEAD), first["candidates"][0]["weights"], strict=True):
        found = np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(5, 4) / 255
        np.testing.assert_allclose(found, weights, atol=0.5 / 255 + 1e-6)


def test_text_is_never_markup() -> None:
    html = page(sentences())
    assert "2 sentences of &lt;of&gt; a test with the model" in html
    assert "1 sentence of" in page(sentences()[:1])
    assert "<b>bellt" not in html
    assert html.count("</script>") == 2


def test_no_sentences_and_gold_for_fewer_are_refused() -> None:
    with pytest.raises(UserError, match="no sentence pairs"):
        page([])
    with pytest.raises(UserError, match="gold link 0-9 is outside the pair"):
        page(sentences(), [({(0, 9)}, {(0, 9)})] * 2)
    with pytest.raises(UserError, match="only 1 lines of gold"):
        page(sentences(), GOLD[:1])


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """The page in a window; its console must stay silent."""
    (tmp_path / "report.html").write_text(page(sentences()), encoding="utf-8")
    with silent_window(browser, (tmp_path / "report.html").as_uri()) as window:
        yield window


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), SCHEMES_AND_WIDTHS)
def test_it_is_accessible(opened: Any, scheme: str, width: int) -> None:
    show_in(opened, scheme, width)
    open_details(opened)
    check_accessible(opened)


def shares(window: Any, side: str) -> list[float]:
    script = "words => words.map(word => Number(word.style.getPropertyValue('--share')))"
    return window.eval_on_selector_all(f"#{side} .word", script)


def linked(window: Any, side: str) -> list[str]:
    return window.eval_on_selector_all(f"#{side} .linked", "words => words.map(word => word.textContent)")


@pytest.mark.slow
def test_pointing_at_a_word_shades_the_other_side(opened: Any) -> None:
    opened.hover("#target .word >> nth=2")
    assert shares(opened, "source") == pytest.approx([0, 0.5, 0.5, 0], abs=0.01)
    assert linked(opened, "source") == []
    opened.hover("#source .word >> nth=2")
    assert shares(opened, "target") == pytest.approx([0, 0, 0.5, 1, 0], abs=0.01)
    assert linked(opened, "target") == ["barks"]
    opened.hover("h1")
    assert shares(opened, "target") == [0, 0, 0, 0, 0]


@pytest.mark.slow
def test_lines_are_as_thick_as_the_weights(opened: Any) -> None:
    assert not opened.is_visible("#lines-section")
    opened.select_option("#picture", label="lines")
    assert opened.is_visible("#lines-section")
    assert not opened.is_visible("#matrix-section")
    texts = opened.eval_on_selector_all("#lines text", "words => words.map(word => word.textContent)")
    assert texts == [*SOURCE, *TARGET]
    script = (
        "lines => lines.map(l => [l.textContent, l.getAttribute('stroke-width') / 8, l.classList.contains('link')])"
    )
    found = {
        name.partition(":")[0]: (width, is_link)
        for name, width, is_link in opened.eval_on_selector_all("#lines line", script)
    }
    assert len(found) == 6
    assert found["barks – <b>bellt</b>"] == (pytest.approx(1, abs=0.01), True)
    assert found["</script> – Hund"] == (pytest.approx(0.5, abs=0.01), False)
    opened.select_option("#head", label="layer 1 head 1")
    assert opened.locator("#lines line").count() == 20


@pytest.mark.slow
def test_paper_has_the_whole_picture(opened: Any) -> None:
    cell = "cell => [getComputedStyle(cell).backgroundColor, getComputedStyle(cell).printColorAdjust]"
    [light, _] = opened.locator("#matrix td >> nth=1").evaluate(cell)
    opened.set_viewport_size({"width": 150, "height": 800})
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.locator("#matrix td >> nth=1").evaluate(cell) == [light, "exact"]
    opened.select_option("#picture", label="lines")
    assert opened.locator(".scroll >> nth=0").evaluate("box => getComputedStyle(box).overflowX") == "visible"
    place, box = opened.locator("#lines").bounding_box(), opened.locator("#lines-section").bounding_box()
    assert place["width"] <= box["width"]
    assert opened.locator("#lines text >> nth=-1").bounding_box()["y"] < place["y"] + place["height"]


@pytest.mark.slow
def test_it_works_by_keyboard(opened: Any) -> None:
    opened.focus("#target .word >> nth=2")  # as a click does
    opened.press("#target .word >> nth=2", "ArrowLeft")
    stops = opened.locator("#target .word").evaluate_all("words => words.map((each) => each.tabIndex)")
    assert stops[:3] == [-1, 0, -1]
    assert "−2.500" in opened.text_content("#candidates")
    opened.keyboard.press("Enter")
    assert linked(opened, "source") == ["Hund"]
    opened.hover("#target .word >> nth=3")  # a word that is held stays
    assert linked(opened, "source") == ["Hund"]
    opened.keyboard.press("Escape")
    assert linked(opened, "source") == []
    opened.keyboard.press("]")
    assert opened.text_content("#source .word >> nth=0") == "الولد"
    assert opened.input_value("#sentence") == "1"
    opened.keyboard.press("[")
    assert opened.text_content("#source .word >> nth=0") == "Der"


@pytest.mark.slow
def test_words_of_a_right_to_left_script_run_from_right_to_left(opened: Any) -> None:
    def lefts(side: str) -> list[float]:
        script = "words => words.map(word => word.getBoundingClientRect().left)"
        return opened.eval_on_selector_all(f"#{side} .word", script)

    opened.select_option("#sentence", "1")
    assert lefts("source")[0] > lefts("source")[1]
    assert lefts("target")[0] < lefts("target")[1]
    style = "all => all.map(each => getComputedStyle(each).unicodeBidi)"
    assert set(opened.eval_on_selector_all("#matrix thead span, #matrix tbody th", style)) == {"plaintext"}


@pytest.mark.slow
def test_other_candidates_and_sentences_can_be_chosen(opened: Any) -> None:
    assert opened.locator("#matrix tbody tr").count() == 5
    assert opened.locator("#matrix td.sure").count() == 2
    assert opened.locator("#matrix td.possible").count() == 1
    opened.click("#candidates button >> nth=1")
    assert opened.locator("#matrix tbody tr").count() == 2
    opened.fill("#find", "صغير")
    assert opened.text_content("#status") == "1 of 2 sentences"
    assert opened.text_content("#source .word >> nth=1") == "الصغير"
    assert not opened.is_visible("#candidates")
    opened.fill("#find", "dog")
    assert opened.text_content("#source .word >> nth=1") == "Hund"
