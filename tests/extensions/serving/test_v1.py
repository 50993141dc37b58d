"""The API of nmt under /v1."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.alignment.links import to_json
from nmt.extensions.quality.confidence import Calibration, Regression
from nmt.extensions.serving import v1
from nmt.translation.glossary import Glossary
from nmt.translation.request import Request
from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import DIRECTION, LINE


def test_translate_gives_what_the_translator_gives(server: Any, translator: Translator) -> None:
    [found] = server.ask(text=LINE, n_best=3, alignment=True, alpha=0.5)
    [expected] = translator.stream([LINE], n_best=3, with_alignment=True, alpha=0.5)
    [sentence], wanted = found["sentences"], expected.to_json()
    for name in ("source", "translation", "tokens", "alignment"):
        assert sentence[name] == wanted[name]
    for candidate, other in zip(sentence["n_best"], wanted["n_best"], strict=True):
        assert candidate == other | {"score": pytest.approx(other["score"], abs=1e-4)}
    assert found["text"] == expected.text


def test_the_beam_is_as_wide_as_the_candidates_are_many(server: Any) -> None:
    [translation] = server.ask(text=LINE, split=False, n_best=3, beam_size=1)
    assert len(translation["sentences"][0]["n_best"]) == 3


def test_texts_are_divided_into_sentences(server: Any, german: list[str]) -> None:
    first, second = server.ask(text=[f"{german[0]} {german[1]}\n{german[2]}", LINE], source="auto")
    assert [sentence["source"] for sentence in first["sentences"]] == german[:3]
    one, two, three = (sentence["translation"] for sentence in first["sentences"])
    assert first["text"] == f"{one} {two}\n{three}"
    assert second["source"] == "de"
    assert 0 < second["confidence"] <= 100
    assert server.ask(text="") == server.ask(text=[""]) == [{"text": "", "source": "de", "sentences": []}]


def test_constraints(server: Any, translator: Translator) -> None:
    plain = translator.translate([LINE])[0].text
    [found] = server.ask(text=LINE, split=False, prefix="my brother", must_contain=["moon"])
    assert found["text"].startswith("my brother")
    assert "moon" in found["text"]
    [found] = server.ask(text=LINE, forbid=["garden"])
    assert "garden" in plain
    assert "garden" not in found["text"]
    [found] = server.ask(text=LINE, split=False, must_contain=["zzz"])
    assert found["sentences"][0]["missing"] == ["zzz"]
    [found] = server.ask(text=LINE, glossary={"hund": "cat", "Mond": "sun"})
    assert "cat" in found["text"]
    assert "missing" not in found["sentences"][0]


def test_other_requests_do_not_wait_for_a_large_glossary(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by = list[str]()
    name = lambda: made_by.append(threading.current_thread().name)  # noqa: E731
    monkeypatch.setattr(v1, "Glossary", lambda terms: name() or Glossary(terms))
    body = {"text": [LINE] * 3, "glossary": {"Hund": "cat"}, **DIRECTION}
    assert len(server.request("/v1/translate", body).json["translations"]) == 3
    assert [name.startswith("AnyIO worker") for name in made_by] == [True]  # once, and not in the event loop


def test_problems_are_named_and_repaired(server: Any, translator: Translator) -> None:
    lines = [LINE, "Der Hund schläft 17."]
    for how in (True, "repair"):
        wanted = translator.translate(lines, check=how)
        for found, expected in zip(server.ask(text=lines, split=False, check=how), wanted, strict=True):
            [sentence] = found["sentences"]
            assert sentence["problems"] == expected.problems
            assert sentence.get("repaired") == expected.fields.get("repaired")
            assert sentence["translation"] == expected.text
    assert "numbers" in wanted[1].problems or wanted[1].repaired
    long = " ".join([LINE[:-1]] * 60)  # is translated in parts
    [found] = server.ask(text=long, split=False, check=True)
    assert found["sentences"][0]["problems"] is not None
    [found] = server.ask(text=LINE)
    assert "problems" not in found["sentences"][0]


def test_stream(server: Any, translator: Translator) -> None:
    prefix = "the dog sleeps in the garden"
    body = {"text": LINE, **DIRECTION, "prefix": prefix, "split": False, "stream": True}
    answer = server.request("/v1/translate", body)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = [event.split("\n") for event in answer.body.decode().strip().split("\n\n")]
    names, data = [event[0] for event in events], [json.loads(event[1].removeprefix("data: ")) for event in events]
    assert names[-1] == "event: translation"
    assert set(names[:-1]) == {"event: partial"}
    assert len(data) > 2
    assert prefix.startswith(data[0]["text"])
    assert data[-1]["text"] == translator.translate([Request(LINE, prefix)])[0].text
    refused = server.request("/v1/translate", body | {"target": "xx"})
    assert (refused.status, refused.json) == (400, {"error": "xx is not supported"})


def test_align_and_score(server: Any, translator: Translator) -> None:
    pairs = [[LINE, "The dog sleeps in the garden."], ["Hund", "dog"]]
    body = {"source": "de", "target": "en", "pairs": pairs}
    expected = [to_json(each) for each in translator.align([(a, b) for a, b in pairs])]
    assert server.request("/v1/align", body).json == {"alignments": expected}
    [scored, _] = server.request("/v1/score", body).json["scores"]
    assert scored["log_probability"] == pytest.approx(sum(scored["token_log_probabilities"]), abs=1e-4)


def test_models_health_and_description(server: Any) -> None:
    german, english = server.request("/v1/models").json["models"]
    assert (german["source"]["code"], german["target"]["name"], german["decoder"]) == ("de", "English", "bahdanau")
    assert english["source"]["code"] == "en"
    assert server.request("/v1/health").json["status"] == "ok"
    paths = server.request("/openapi.json").json["paths"]
    assert {"/v1/translate", "/v1/align", "/v1/score", "/v1/models", "/v1/health", "/v1/intervene"} <= set(paths)


def test_json_that_is_not_declared_is_explained(server: Any) -> None:
    """curl -d declares a form."""
    answer = server.request(
        "/v1/translate", b'{"text": "a"}', headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status, "with the header Content-Type: application/json" in answer.json["error"]) == (400, True)


def test_the_page_of_the_api_needs_no_network(server: Any) -> None:
    page = server.request("/docs")
    text = page.body.decode()
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert re.findall(r'(?:src|href)="([^"]+)"', text) == ["data:,", "page/style.css", "./", "openapi.json", "spec"]
    assert "<script" not in text
    for path in ("POST /v1/translate", "POST /v1/inspect", "GET /v1/models", "POST /translate", "GET /languages"):
        assert f"<code>{path}</code>" in text
    assert "<code>n_best</code><td>integer<td>1<td>candidates of each sentence" in text
    assert "<code>text</code><td>string or list of string<td>required<td>" in text
    assert "<code>q</code><td>string<td>required" in text


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("translate", {"text": LINE}, "target"),
        ("translate", {"text": LINE, **DIRECTION, "beam": 3}, "beam"),
        ("translate", {"text": LINE, **DIRECTION, "prefix": "a"}, "split=false"),
        ("translate", {"text": 5, **DIRECTION}, ": text: Input should be a valid string or Input should be a"),
        ("translate", {"text": [], **DIRECTION}, ": text: Input should be a valid string or List should have"),
        ("translate", {"text": ["a", 3], **DIRECTION}, ": text.1: Input should be a valid string"),
        ("translate", {"text": LINE, **DIRECTION, "check": "yess"}, "interpret input or Input should be 'repair'"),
        ("translate", {"text": LINE, **DIRECTION, "glossary": {"a": ""}}, ": glossary.a: String should have"),
        ("translate", {"text": LINE, **DIRECTION, "n_best": 1000}, "n_best"),
        ("translate", {"text": "a" * 20_001, **DIRECTION}, "exceeds text limit"),
        ("align", {**DIRECTION, "pairs": [["a"]]}, "pairs"),
        ("score", {"source": "de", "target": "de", "pairs": [["a", "b"]]}, "no single model"),
        ("score", b"{", ": body: JSON decode error"),
    ],
)
def test_errors(server: Any, path: str, body: Any, text: str) -> None:
    answer = server.request(f"/v1/{path}", body)
    assert answer.status == 400
    assert text in answer.json["error"]


def test_a_model_without_attention(serve: Callable[..., Any], vanilla_model: Any) -> None:
    own = serve(nmt.load(vanilla_model))
    assert own.request("/v1/align", {**DIRECTION, "pairs": [["a", "b"]]}).status == 400
    [found] = own.ask(text=LINE, alignment=True)
    assert found["sentences"][0]["alignment"] is None


@pytest.mark.slow
def test_several_models_of_a_direction(
    serve: Callable[..., Any], translator: Translator, backward: Translator, german: list[str], train_tiny: Any
) -> None:
    other = nmt.load(train_tiny("training.max_steps=30"))
    server = serve(translator, other, backward)
    names = [model["name"] for model in server.request("/v1/models").json["models"]]
    assert len(set(names)) == 3
    texts = [[found["text"] for found in server.ask(text=german[:3], model=name)] for name in (None, *names[:2])]
    assert texts[0] == texts[1] == [translation.text for translation in translator.translate(german[:3])]
    assert texts[2] == [translation.text for translation in other.translate(german[:3])] != texts[1]
    pairs = {**DIRECTION, "pairs": [[LINE, "The dog"]]}
    scores = [server.request("/v1/score", pairs | {"model": name}).json for name in names[:2]]
    assert scores[0] != scores[1]
    [same] = server.ask(text="The dog sleeps in the garden.", source="auto", model=names[0])
    assert same["text"] == "The dog sleeps in the garden."
    for wrong in (names[2], "nothing"):
        refused = server.request("/v1/translate", {"text": LINE, **DIRECTION, "model": wrong})
        assert (refused.status, refused.json["error"]) == (400, f"{wrong} is no model from de to en: see /v1/models")


def test_confidence_is_that_of_the_model_where_it_was_calibrated(
    own_model: Path, serve: Callable[..., Any], server: Any
) -> None:
    lines = [LINE, "Die Katze sieht den Mond."]
    plain = server.ask(text=lines, confidence=True)
    assert all("confidence" not in sentence for each in plain for sentence in each["sentences"])
    words = Regression(weights={"log_odds": 1.0}, bias=3.0)
    weights = {"mean_probability": 1.0, "length_ratio": -0.5}
    Calibration(weights=weights, bias=0.1, min_chrf=50.0, words=words).save(own_model / "calibration.json")
    model = nmt.load(own_model)
    expected, own = model.translate(lines, with_confidence=True), serve(model)
    for found, wanted in zip(own.ask(text=lines, confidence=True), expected, strict=True):
        [sentence] = found["sentences"]
        assert sentence["confidence"] == pytest.approx(wanted.confidence, abs=1e-3)
        assert sentence["word_confidences"] == pytest.approx(wanted.word_confidences, abs=1e-3)
    long = " ".join([LINE[:-1]] * 60)  # is translated in parts
    [parts] = own.ask(text=long, split=False, confidence=True)[0]["sentences"]
    assert len(parts["word_confidences"]) == len(parts["translation"].split())
    assert "confidence" not in own.ask(text=LINE)[0]["sentences"][0]
