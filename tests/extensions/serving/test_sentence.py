"""``/v1/inspect``, ``/v1/intervene`` and the page of a sentence."""

import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from nmt.extensions.lecture.sentence import SentenceViewer
from nmt.plotting.templates import rounded
from nmt.translation.translator import Translator
from tests.extensions.windows import silent_window

LINE = "Der müde Bäcker sieht den Mond."


def intervene(server: Any, *changes: dict[str, Any], **body: Any) -> Any:
    return server.request("/v1/intervene", {"text": LINE, "interventions": list(changes), **body})


def test_the_view_is_that_of_nmt_inspect_sentence(server: Any, translator: Translator) -> None:
    answer = server.request("/v1/inspect", {"text": LINE, "alternatives": 1, "beam_size": 3}).json
    viewer = SentenceViewer(translator, answer["model"]["name"], 3, 1)
    assert answer["model"] == viewer.describe()
    expected = rounded(viewer.view(1, LINE))
    assert answer["view"]["best"]["tokens"] == expected["best"]["tokens"]
    assert answer["view"]["best"]["p"] == pytest.approx(expected["best"]["p"], abs=2e-4)
    assert answer["view"].keys() == expected.keys()
    assert len(answer["view"]["alternatives"]) == len(expected["alternatives"])


def test_interventions_have_the_translation_and_probabilities_before_and_after(server: Any) -> None:
    best = server.request("/v1/inspect", {"text": LINE, "alternatives": 0}).json["view"]["best"]
    same, off, step = intervene(
        server, {"kind": "head", "heads": [0]}, {"kind": "off"}, {"kind": "word", "to": 2, "step": 3}
    ).json["results"]
    assert (same["text"], same["tokens"]) == (best["text"], best["tokens"])
    assert same["own"] == pytest.approx(best["p"], abs=2e-4)
    assert same["p"] == pytest.approx(best["p"], abs=2e-4)
    assert off["own"] != pytest.approx(best["p"], abs=1e-2)
    assert step["tokens"][:3] == best["tokens"][:3]
    for result in (same, off, step):
        assert sum(math.log(max(p, 1e-4)) for p in result["p"]) == pytest.approx(result["log_p"], abs=0.1)
        assert [len(top) for top in result["top"]] == [5] * len(best["tokens"])


def test_translation_goes_on_unchanged_beside_interventions(server: Any) -> None:
    """All use one model: an intervention concerns its own request alone."""
    [expected] = server.ask(text=LINE)
    off = intervene(server, {"kind": "off"}).json
    with ThreadPoolExecutor(12) as pool:
        changed = [pool.submit(intervene, server, {"kind": "off"}) for _ in range(6)]
        plain = [pool.submit(server.ask, text=LINE) for _ in range(6)]
        assert [each.result()[0]["text"] for each in plain] == [expected["text"]] * 6
        assert {each.result().json["results"][0]["text"] for each in changed} == {off["results"][0]["text"]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "off", "heads": [1]}, "no such head, layer or token"),
        ({"kind": "head", "to": 1}, "no such head, layer or token"),
        ({"kind": "word", "to": 99}, "no such head, layer or token"),
        ({"kind": "skip"}, "no such head, layer or token"),
        ({"kind": "off", "heads": [-1]}, "no such head, layer or token"),
        ({"kind": "links"}, "kind"),
        ({"kind": "word", "to": -1}, "greater than or equal to 0"),
    ],
)
def test_what_can_not_be_changed_is_refused(server: Any, change: dict[str, Any], problem: str) -> None:
    answer = intervene(server, change)
    assert answer.status == 400
    assert problem in answer.json["error"]


def test_sentences_and_requests_are_limited(serve: Callable[..., Any], translator: Translator, server: Any) -> None:
    few = serve(translator, inspect_limit=4)
    for path, body in (("inspect", {}), ("intervene", {"interventions": [{"kind": "off"}]})):
        answer = few.request(f"/v1/{path}", {"text": LINE, **body})
        assert (answer.status, "a page shows 1 to 4" in answer.json["error"]) == (400, True)
        assert server.request(f"/v1/{path}", {"text": LINE, "model": "nothing", **body}).status == 400
        assert server.request(f"/v1/{path}", {"text": "", **body}).status == 400
    assert intervene(server, *[{"kind": "off"}] * 65).status == 400
    none = serve(translator, inspect_limit=0, keys=("secret",))
    assert none.request("/v1/inspect", {"text": LINE}).status == 400  # no key
    answer = none.request("/v1/inspect", {"text": LINE}, headers={"Authorization": "Bearer secret"})
    assert (answer.status, answer.json["error"]) == (403, "This server does not inspect sentences")


def test_the_page_allows_its_own_scripts_alone(server: Any) -> None:
    page = server.request("/sentence")
    policy = page.headers["Content-Security-Policy"]
    assert re.search(r"script-src 'sha256-[^' ]+'; style-src 'sha256-[^' ]+' 'sha256-[^' ]+'$", policy)
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page.body.decode())


@pytest.fixture
def opened(browser: Any, server: Any) -> Iterator[Any]:
    """A permalink; the console must stay silent."""
    name = next(iter(server.service.router.named))
    address = f"{server.url}/sentence#text={quote(LINE)}&model={quote(name)}"
    with silent_window(browser, address, 320) as window:
        window.wait_for_selector("#target .word")
        yield window


@pytest.mark.slow
def test_a_permalink_shows_its_sentence_and_interventions_are_computed(opened: Any, server: Any) -> None:
    best = server.request("/v1/inspect", {"text": LINE, "alternatives": 0}).json["view"]["best"]
    assert opened.input_value("#text") == LINE
    assert opened.locator("#target .word").count() == len(best["tokens"])
    opened.press("#target .word >> nth=0", "ArrowRight")
    opened.press("#source .word >> nth=0", "Enter")
    opened.wait_for_selector("#attended strong")
    [found] = intervene(server, {"kind": "word", "to": 0, "step": 1}).json["results"]
    assert f"{found['log_p']:.2f}".replace("-", "−") in opened.text_content("#attended")
    opened.press("#compute", "Enter")
    opened.wait_for_selector("#changes tbody tr")
    late: list[Any] = []
    opened.route("**/v1/intervene", lambda route: late.append(route), times=1)
    opened.press("#compute", "Enter")
    opened.press("#target .word >> nth=1", "ArrowRight")
    late[0].continue_()
    opened.wait_for_selector("#changes-status:empty", state="attached")
    opened.fill("#text", "Die Katze schläft.")
    opened.keyboard.press("Enter")
    opened.wait_for_selector("#source >> text=Katze")
    assert "Katze" in opened.evaluate("decodeURIComponent(location.hash)")
    opened.go_back()
    opened.wait_for_selector("#source >> text=Mond")
    assert opened.input_value("#text") == LINE


@pytest.mark.slow
def test_keys_have_any_letters(browser: Any, serve: Callable[..., Any], translator: Translator) -> None:
    with silent_window(browser, f"{serve(translator, keys=('ключ',)).url}/sentence") as window:
        window.fill("#key", "ключ")
        window.press("body", "ArrowRight")
        window.fill("#text", LINE)
        window.press("#text", "Enter")
        window.wait_for_selector("#target .word")
        window.route("**/v1/inspect", lambda route: None)
        window.press("#text", "Enter")
        window.wait_for_selector("#ask-status:not(:empty)")
        window.go_back()
        window.wait_for_selector("#results", state="hidden")
        assert window.text_content("#ask-status") == ""


@pytest.mark.quick("<script>*")
@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "שלום עולם", "Der Hund. " * 500 + "Ein"])
def test_any_text_is_shown_or_refused_in_words(browser: Any, server: Any, text: str) -> None:
    window = browser.new_page(viewport={"width": 320, "height": 700})
    window.goto(f"{server.url}/sentence#text={quote(text)}")
    is_long = len(text) > 1000
    window.wait_for_selector("#ask-status >> text=pieces" if is_long else "#target .word")
    assert window.input_value("#text") == text
    assert window.locator("#results script").count() == 0
    assert window.evaluate("document.documentElement.scrollWidth") <= 320
    window.route("**/v1/inspect", lambda route: route.abort())
    window.fill("#text", LINE)
    window.keyboard.press("Enter")
    window.wait_for_selector("#ask-status >> text=The server does not answer.")
    window.close()
