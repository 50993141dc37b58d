"""The page in a real browser: a headless Chromium, where it and its driver are on the machine."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.translation.translator import Translator
from tests.extensions.windows import SCHEMES_AND_WIDTHS, check_accessible, open_details, show_in, silent_window

LINE = "Der müde Bäcker sieht den Mond."


def test_the_page_is_served_and_loads_nothing_from_elsewhere(server: Any) -> None:
    page = server.request("/")
    assert "text/html" in page.headers["Content-Type"]
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    found = re.findall(r'(?:src|href)="(page/[^"]+)"', page.body.decode())
    assert sorted(found) == ["page/app.js", "page/style.css"]
    parts = [page.body.decode(), *(server.request(f"/{path}").body.decode() for path in found)]
    assert {server.request(f"/{path}").headers["Cache-Control"] for path in ("", *found)} == {"no-cache"}
    assert not any(re.findall(r"https?://|@import|\burl\(", part) for part in parts)
    assert "<noscript>" in parts[0]
    assert server.request("/page/../app.py").status == 404
    assert server.request("/page/nothing").status == 404


@pytest.fixture
def page(browser: Any, server: Any) -> Iterator[Any]:
    """The page with a translated line; its console must stay silent."""
    with silent_window(browser, f"{server.url}/") as window:
        window.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
        window.select_option("#source", "de")
        window.fill("#input", LINE)
        window.wait_for_selector(".to .word i")
        yield window


def texts(page: Any, selector: str) -> list[str]:
    return page.eval_on_selector_all(selector, "all => all.map(each => each.textContent)")


@pytest.mark.slow
def test_it_translates_while_typing(page: Any, english: Callable[[str], str]) -> None:
    assert page.text_content("#output") == english(LINE)
    x, y = (page.locator("#input").bounding_box()[side] + 25 for side in "xy")
    page.mouse.dblclick(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=9)
    page.mouse.up()
    moved = page.input_value("#input")
    assert moved != LINE
    assert sorted(moved.replace(" ", "")) == sorted(LINE.replace(" ", "")), "a word is dragged to another place"
    page.fill("#input", f"{LINE}\n\n{LINE}")
    page.wait_for_selector(".sentence >> nth=1")
    assert page.text_content("#output") == f"{english(LINE)}\n\n{english(LINE)}"
    page.click("#clear")
    page.wait_for_selector("#output:empty", state="attached")


@pytest.mark.slow
def test_the_languages_are_remembered(browser: Any, serve: Callable[..., Any], translator: Any, backward: Any) -> None:
    """Also with a source to be detected, after more than one reload; the key may have any letters."""
    window = browser.new_page()
    window.goto(f"{serve(translator, backward, keys=('ключ',)).url}/")

    def fill() -> None:
        window.wait_for_selector("#target option >> nth=1", state="attached")
        window.evaluate("document.querySelector('#key').value = 'ключ'")
        window.fill("#input", LINE)
        window.wait_for_selector("#output:not(:empty)")

    for _ in range(3):
        fill()
        assert (window.input_value("#source"), window.input_value("#target")) == ("auto", "en")
        assert window.is_hidden("#problem")
        window.reload()
    fill()
    assert window.is_enabled("#swap"), "the language has been detected"
    window.fill("#input", "Die Katze sieht den Mond.")
    window.select_option("#target", "de")
    window.wait_for_selector("#problem >> text=The text is in German already")
    window.click("#history-section summary")
    window.click("#history .open >> nth=-1")
    window.wait_for_selector("#problem", state="hidden")
    assert window.input_value("#target") == "en"
    window.close()


@pytest.mark.slow
def test_words_show_what_they_are_aligned_with(page: Any, translator: Translator) -> None:
    [found] = translator.stream([LINE], with_alignment=True)
    source, target = LINE.split(), found.text.split()
    page.hover(".to .word >> nth=2")
    assert texts(page, ".chosen") == [target[2]]
    assert texts(page, ".from .linked") == [source[s] for s, t in found.alignment or () if t == 2]
    page.hover("h1")
    assert texts(page, ".linked") == []
    page.click(".sentence summary")
    spoken = "all => all.map(each => each.closest('[lang]').lang)"
    parts = "#input, #output, .from, .to, .best span:first-child"
    assert page.eval_on_selector_all(parts, spoken)[:5] == ["de", "en", "de", "en", "en"]
    page.press(".from .word >> nth=0", "ArrowRight")
    assert texts(page, ".to .linked") == [target[t] for s, t in found.alignment or () if s == 1]
    assert "probability" in page.get_attribute(".to .word >> nth=0", "title")


@pytest.mark.slow
def test_another_word_is_chosen_by_keyboard(page: Any) -> None:
    page.focus(".to .word >> nth=0")
    for key in ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#menu [role=option]")
    choices = texts(page, "#menu [role=option] span")
    assert "tired" not in choices
    page.keyboard.press("Escape")
    assert page.is_hidden("#menu")
    assert page.evaluate("document.activeElement.textContent") == "tired"
    page.keyboard.press("Enter")
    page.wait_for_selector("#menu [role=option]")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "tired"
    page.keyboard.press("Enter")
    page.wait_for_selector("#menu [role=option]")
    with page.expect_request("**/v1/translate") as asked:
        page.keyboard.press("Enter")
    assert len(asked.value.post_data_json["prefix"].split()) == 3, "the next word, before which the chosen one ends"
    page.wait_for_selector("#status >> text=changed")
    assert page.text_content("#output").split()[:2] == ["The", choices[0]]


@pytest.mark.slow
def test_candidates_are_marked_where_they_differ(page: Any) -> None:
    page.click(".sentence summary")
    best, other = page.text_content("#output"), page.text_content(".best li span >> nth=0")
    differing = texts(page, ".best li >> nth=0 >> mark")
    assert [word for word in other.split() if word not in best.split()] == [
        w for w in differing if w not in best.split()
    ]
    page.click(".best button >> nth=0")
    page.wait_for_selector("#status >> text=changed")
    assert page.text_content("#output") == other


@pytest.mark.slow
def test_two_models_of_a_direction_are_side_by_side(
    browser: Any, serve: Callable[..., Any], translator: Translator, train_tiny: Any
) -> None:
    other = nmt.load(train_tiny("training.max_steps=30"))
    own = serve(translator, other)
    names = [model["name"] for model in own.request("/v1/models").json["models"]]
    with silent_window(browser, f"{own.url}/") as window:
        window.check("#compare")
        window.fill("#input", LINE)
        window.wait_for_selector("#status-2 >> text=/ s$/")
        texts = [model(LINE).text for model in (translator, other)]
        assert [window.input_value(field) for field in ("#model", "#model-2")] == names
        assert [window.text_content(field) for field in ("#output", "#output-2")] == texts
        window.select_option("#model", names[1])
        window.wait_for_function("text => document.querySelector('#output').textContent === text", arg=texts[1])
        answer = {"json": {"translations": [{"text": "x"}]}, "headers": {"Access-Control-Allow-Origin": "*"}}
        window.route("http://other.test/**", lambda route: route.fulfill(**answer))
        window.evaluate("document.querySelector('#key').value = 'secret'")
        window.fill("#server", "http://other.test")
        with window.expect_request("http://other.test/**") as asked:
            window.press("#server", "Enter")
        assert "authorization" not in asked.value.headers, "the key is not for others"


@pytest.mark.slow
def test_files_are_translated(page: Any, tmp_path: Path, english: Callable[[str], str]) -> None:
    (tmp_path / "a.txt").write_text(f"{LINE}\n", encoding="utf-8")
    page.set_input_files("#file", tmp_path / "a.txt")
    page.wait_for_selector("#files a")
    with page.expect_download() as waiting:
        page.click("#files a")
    assert Path(waiting.value.path()).read_text("utf-8") == f"{english(LINE)}\n"
    page.click("#glossary-section summary")
    page.fill("#glossary", "Bäcker\tneighbour\n")
    page.set_input_files("#file", tmp_path / "a.txt")
    page.wait_for_selector("#files a >> nth=1")
    assert "Could not be placed" not in page.text_content("#files")
    with page.expect_download() as waiting:
        page.click("#files a >> nth=1")
    assert "neighbour" in Path(waiting.value.path()).read_text("utf-8").lower(), "it may begin the sentence"


@pytest.mark.slow
def test_history_glossary_and_curl(page: Any, server: Any) -> None:
    page.click("#glossary-section summary")
    page.fill("#glossary", "Bäcker\tneighbour\n")
    page.wait_for_selector("#output >> text=neighbour")
    page.click("#curl")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith(f"curl {server.url}/v1/translate -H 'Content-Type: application/json'")
    assert '"glossary":{"Bäcker":"neighbour"}' in command
    page.evaluate("localStorage['nmt.history'] = localStorage['nmt.history'].replaceAll('\"de\"', '\"fr\"')")
    page.reload()
    page.click("#history-section summary")
    page.click("#history .open >> nth=0")
    page.wait_for_selector(".to .word")
    assert page.input_value("#source") == "auto", "no model translates from French now"
    assert page.input_value("#input") == LINE
    page.click("#forget")
    assert texts(page, "#history li") == []


@pytest.mark.slow
def test_two_tabs_share_glossary_and_history(browser: Any, server: Any) -> None:
    with browser.new_context() as context:
        own, other = context.new_page(), context.new_page()
        for tab, text in ((own, LINE), (other, "Heute trinkt die Katze kaltes Wasser.")):
            tab.goto(f"{server.url}/")
            tab.fill("#input", text)
            tab.wait_for_selector(".to .word")
            tab.click("#glossary-section summary")
            tab.click("#history-section summary")
        own.fill("#glossary", "Bäcker\tneighbour\n")
        other.wait_for_selector("#glossary-count >> text=1 term")
        assert other.input_value("#glossary") == own.input_value("#glossary"), "the other tab adds to it"
        own.click("#history li:has-text('Katze') >> text=Delete")
        assert [LINE in entry for tab in (own, other) for entry in texts(tab, "#history li")] == [True, True]
        own.evaluate("() => { Storage.prototype.setItem = () => { throw Error(); }; }")  # it is full
        own.fill("#glossary", "Hund\thound")
        other.click("#compare")
        other.route("**/v1/translate", lambda route: "beam_size" in route.request.post_data or route.continue_())
        other.fill("#input", "Ein Hund.")
        own.wait_for_selector("#history li:has-text('Ein Hund.')")
        assert own.input_value("#glossary") == "Hund\thound"
        other.fill("#input", "")
        other.wait_for_timeout(500)
        assert not other.is_visible("#problem")


@pytest.mark.slow
def test_problems_are_marked_explained_and_repaired(page: Any) -> None:
    """The answers are those of a server whose model loses a number and prefers another word."""
    source, wrong, right = "Er hat 17 Hunde. Er schläft.", "He has dogs long.", "He has 17 dogs."
    asked: list[dict[str, Any]] = []

    def sentence(text: str, translation: str, **fields: Any) -> dict[str, Any]:
        return {"source": text, "translation": translation, "tokens": [], "n_best": [], "alignment": [], **fields}

    def answer(route: Any) -> None:
        asked.append(route.request.post_data_json)
        problems = {"numbers": {"lost": ["17"], "added": []}, "unsupported": ["long.", "</s>"], "degenerate": "loop"}
        problems["sentences"] = 1
        first = sentence("Er hat 17 Hunde.", wrong, problems=problems, confidence=0.834)
        if asked[-1]["check"] == "repair":
            first = sentence("Er hat 17 Hunde.", right, problems={}, repaired=True, confidence=0.2)
        rest = [sentence("Er schläft.", "He sleeps.", problems={})] if asked[-1]["text"] == source else []
        sentences = [*[sentence("Er schläft.", "He sleeps.")] * (len(asked[-1]["text"]) // 300 * 40), first, *rest]
        text = " ".join(each["translation"] for each in sentences)
        route.fulfill(json={"translations": [{"text": text, "source": "de", "sentences": sentences}]})

    page.route("**/v1/translate", answer)
    page.fill("#input", source)
    page.wait_for_selector("#jump >> text=Problems in 1 of 2 sentences")
    assert (asked[0]["check"], asked[0]["confidence"]) == (True, True)
    assert texts(page, ".suspect") == ["17", "long."]
    assert page.get_attribute(".to .suspect", "aria-description").startswith("The model expects something else here")
    assert "wavy" in page.evaluate("getComputedStyle(document.querySelector('.suspect')).textDecoration")
    assert texts(page, ".suspicious li") == [
        "Number missing in the translation: 17",
        "The model expects something else here: long., the end",
        "A sentence is missing",
        "The translation repeats itself",
    ]
    assert "83 % confidence" in page.text_content(".sentence >> nth=0")
    page.press("#jump", "Enter")
    assert page.evaluate("document.activeElement.textContent") == "17"
    page.press("text=Repair", "Enter")
    page.wait_for_selector("#status >> text=changed")
    assert page.text_content("#output") == f"{right} He sleeps."
    assert texts(page, ".suspect") == []
    assert page.is_hidden("#jump")
    assert "confidence" not in page.text_content(".sentence >> nth=0")
    page.fill("#input", " ".join([*["Er schläft."] * 40, source]))
    page.wait_for_selector("#jump >> text=Problems in 1 of 41 sentences")
    page.press("#jump", "Enter")
    assert page.evaluate("document.activeElement.textContent") == "17", "beyond the sentences that are shown otherwise"


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_told(browser: Any, server: Any) -> None:
    page = browser.new_page()
    page.goto(f"{server.url}/")
    page.route("**/v1/translate", lambda route: route.fulfill(status=500, body="<h1>proxy</h1>"))
    page.fill("#input", "Der Hund schläft.")
    page.wait_for_selector("#problem >> text=500 Internal Server Error")
    page.route("**/v1/translate", lambda route: route.fulfill(body="<h1>Log in</h1>"))
    page.fill("#input", "Der Hund schläft")
    page.wait_for_selector("#problem >> text=This is no answer of nmt: 200 OK.")
    page.route("**/v1/translate", lambda route: route.abort())
    page.fill("#input", "Der Hund.")
    page.wait_for_selector("#problem >> text=The server does not answer.")
    assert page.text_content("#output") == ""
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a" * 5000, "<script>alert(1)</script> שלום עולם"])
def test_long_and_hostile_text_stays_inside(page: Any, text: str) -> None:
    sentence = {"source": text, "translation": text, "tokens": [], "n_best": [], "alignment": [], "problems": {}}
    answer = {"translations": [{"text": text, "source": "de", "sentences": [sentence]}]}
    page.set_viewport_size({"width": 320, "height": 800})
    page.route("**/v1/translate", lambda route: route.fulfill(json=answer))
    page.fill("#input", text)
    page.wait_for_function("text => document.querySelector('#output').textContent === text", arg=text)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("document.documentElement.scrollHeight") < 4000
    assert page.locator("main script").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), SCHEMES_AND_WIDTHS)
def test_it_is_accessible(page: Any, scheme: str, width: int) -> None:
    show_in(page, scheme, width)
    page.check("#compare")
    page.wait_for_selector("#status-2 >> text=/ s$/")
    page.wait_for_selector("#output:not(.waiting)")
    open_details(page)
    page.click(".to .word >> nth=1")
    page.wait_for_selector("#menu [role=option]")
    check_accessible(page)


@pytest.mark.slow
def test_a_chosen_translation_that_comes_late_changes_no_newer_text(page: Any, english: Callable[[str], str]) -> None:
    late: list[Any] = []
    page.click(".sentence summary")
    page.route("**/v1/translate", lambda route: late.append(route), times=1)
    page.click(".best button >> nth=0")
    page.fill("#input", newer := "Heute trinkt die Katze kaltes Wasser.")
    page.wait_for_selector(f"#output >> text={english(newer)}")
    with page.expect_response("**/v1/translate"):
        late[0].continue_()
    page.wait_for_timeout(200)
    assert page.text_content("#output") == english(newer)
    page.route("**/v1/score", lambda route: late.append(route))
    page.click(".best button >> nth=0")
    page.wait_for_selector("#status >> text=changed")
    page.fill("#input", LINE)
    page.wait_for_selector(f"#output >> text={english(LINE)}")
    with page.expect_response("**/v1/score"):
        late[1].continue_()
    page.wait_for_timeout(200)
    assert texts(page, ".to .word i") == [], "the probabilities are those of the words before"


@pytest.mark.slow
def test_a_correction_is_saved_and_used(browser: Any, serve: Callable[..., Any], own_model: Path) -> None:
    nmt.TranslationMemory(own_model).add([(LINE.replace("müde", "alte"), "The old baker.")])
    with silent_window(browser, f"{serve(nmt.load(own_model), feedback=True).url}/") as page:
        page.select_option("#source", "de")
        page.fill("#input", LINE)
        page.wait_for_selector(".memory button")
        assert "The old baker." in page.text_content(".memory")
        page.click("summary:text('Correct')")
        page.fill(".sentence textarea", "The tired baker sees the moon.")
        page.click("button:text('Save')")
        page.wait_for_selector("#status >> text=saved")
        page.wait_for_selector(".memory.note")
        assert page.text_content("#output") == "The tired baker sees the moon."
        late: list[Any] = []
        page.route("**/v1/feedback", lambda route: late.append(route), times=1)
        page.click("summary:text('Correct')")
        page.click("button:text('Save')")
        page.fill("#input", "")
        page.wait_for_selector("#output:empty", state="attached")
        with page.expect_response("**/v1/feedback"):
            late[0].continue_()
        page.wait_for_timeout(200)
        assert page.is_hidden("#problem"), "the text has changed since"
