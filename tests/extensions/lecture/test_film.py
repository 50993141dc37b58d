"""The page of a film: its data against those of the run, and how it behaves in a real browser."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.extensions.lecture.film import read_film, render_film
from tests.extensions.windows import SCHEMES_AND_WIDTHS, check_accessible, open_details, show_in, silent_window


def frame(step: int, p: float, attention: str | None = "/wAA/w==", text: str = "ein Hund") -> dict[str, Any]:
    """A frame with two target tokens; the attention is diagonal."""
    target = {"text": f"a {step}", "tokens": ["▁a", "</s>"], "p": [p, 0.9], "attention": attention}
    sentences = [
        {"text": text, "source": ["▁ein", "</s>"], "reference": {**target, "text": "a dog"}, "translation": target},
        {"text": "zwei", "source": ["▁zwei", "</s>"], "reference": target, "translation": target},
    ]
    return {"event": "film", "step": step, "seconds": 1.0, "sentences": sentences, "gradients": [p, 1 - p]}


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path) -> Path:
    """A run with three validations, of which each has a frame."""
    shutil.copy(tiny_model / "recipe.yaml", tmp_path)
    events: list[dict[str, Any]] = [{"event": "epoch", "step": 5, "seconds": 1.0, "epoch": 1, "padding": 0.1}]
    for step, bleu in ((3, 1.5), (6, 10.25), (9, 20.0)):
        events.append({"event": "valid", "step": step, "seconds": 1.0, "loss": 6.0 - step / 3, "bleu": bleu})
    write(tmp_path / "metrics.jsonl", events)
    write(tmp_path / "film.jsonl", [frame(3, 0.1), frame(6, 0.4), frame(9, 0.8)])
    return tmp_path


def write(path: Path, lines: list[Any]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def data_of(page: str) -> Any:
    """The data of a page, which is one file: it loads nothing."""
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!data:)", page)
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_is_one_file_with_the_frames_and_the_curves(run: Path) -> None:
    data = data_of(render_film(run))
    assert [(each["step"], each["epoch"]) for each in data["frames"]] == [(3, 1), (6, 2), (9, 2)]
    assert data["score"] == {"name": "BLEU", "decimals": 2, "xs": [3, 6, 9], "ys": [1.5, 10.25, 20.0]}
    assert data["loss"] == {"xs": [3, 6, 9], "ys": [5.0, 4.0, 3.0]}
    assert data["updates"] == 9


def test_what_is_no_frame_is_left_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, other = frame(9, 0.8), frame(6, 0.4, text="<!-- other -->")
    wrong: list[Any] = [frame(9, 0.8, attention="/w=="), frame(9, 0.8) | {"step": "9"}, {"event": "film"}, []]
    wrong += [frame(9, 0.8) | {"gradients": ["<b>"]}, frame(9, 0.8) | {"sentences": []}]
    write(run / "film.jsonl", [other, *wrong, good])
    assert read_film(run) == [good], "frames of other sentences can't be compared"
    assert "left out 6 lines" in " ".join(capsys.readouterr().err.split())
    write(run / "film.jsonl", [other])
    assert "<!-- other" not in render_film(run)
    assert data_of(render_film(run))["frames"][0]["sentences"][0]["text"] == "<!-- other -->"
    (run / "film.jsonl").unlink()
    with pytest.raises(UserError, match=r"(?s)has no film.*training\.observers\.film"):
        render_film(run)


@pytest.fixture
def opened(browser: Any, run: Path) -> Iterator[Any]:
    """The page in a narrow window; its console must stay silent."""
    (run / "page.html").write_text(render_film(run), encoding="utf-8")
    with silent_window(browser, (run / "page.html").as_uri(), 320) as window:
        yield window


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), SCHEMES_AND_WIDTHS)
def test_it_is_accessible(opened: Any, scheme: str, width: int) -> None:
    show_in(opened, scheme, width)
    open_details(opened)
    check_accessible(opened)
    show_in(opened, scheme, 320)


@pytest.mark.slow
def test_the_scrubber_goes_through_the_frames_by_keys_and_buttons(opened: Any) -> None:
    def shown() -> tuple[str, str]:
        return opened.text_content("#translation .whole"), opened.locator("#reference i").first.get_attribute("style")

    assert opened.text_content("#status") == "update 9 of 9, epoch 2, validation BLEU 20.00, loss 3.00"
    assert shown() == ("a 9", "--probability: 0.8;")
    opened.press("#frame", "ArrowLeft")
    assert shown() == ("a 6", "--probability: 0.4;")
    opened.press("#play", "Home")
    assert opened.text_content("#status").startswith("update 3 of 9, epoch 1")
    assert shown() == ("a 3", "--probability: 0.1;")
    assert opened.is_disabled("#back")
    opened.click("#forward")
    assert shown()[0] == "a 6"
    assert opened.get_attribute("#frame", "aria-valuetext") == opened.text_content("#status")
    opened.select_option("#sentence", "1")
    assert opened.locator("#matrix thead span").all_text_contents() == ["zwei", "⟨end⟩"]


@pytest.mark.slow
def test_attention_and_gradients_are_those_of_the_frame(opened: Any) -> None:
    shares = "cells => cells.map(cell => Number(cell.style.getPropertyValue('--share')))"
    assert opened.eval_on_selector_all("#matrix tbody td", shares) == [1, 0, 0, 1]
    assert opened.locator("#gradients polyline.past").count() == 3  # two frames before, and the range of the axis
    assert "80% at the last token, 20% 1 tokens before" in opened.get_attribute("#gradients", "aria-label")
    opened.press("#frame", "Home")
    assert opened.locator("#gradients polyline.past").count() == 1
    assert opened.locator("#score circle").count() == 3


@pytest.mark.slow
def test_a_model_without_attention_has_no_matrix(browser: Any, run: Path) -> None:
    write(run / "film.jsonl", [frame(3, 0.1, attention=None) | {"gradients": []}])
    (run / "page.html").write_text(render_film(run), encoding="utf-8")
    window = browser.new_page()
    window.goto((run / "page.html").as_uri())
    assert [window.is_visible(name) for name in ("#attention", "#gradient-section", "#score")] == [False, False, True]
    window.close()
