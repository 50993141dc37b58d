"""Routes and pivots, detection, long sentences, and requests that take too long or are too many."""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import nmt
from nmt.core.errors import UserError
from nmt.data.dialogue import LineReader
from nmt.extensions.documents.parts import in_parts
from nmt.extensions.serving import service
from nmt.extensions.serving.engine import Engine
from nmt.extensions.serving.languages import ModelRouter, languages_of
from nmt.extensions.serving.service import RequestContext, Service
from nmt.translation.options import TranslationOptions
from nmt.translation.request import Request
from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import DIRECTION, held


def as_direction(model: Translator, source: str, target: str) -> Translator:
    """The same model, said to have another direction."""
    data = model.recipe.data.model_copy(update={"source": source, "target": target})
    return model.replaced(recipe=model.recipe.model_copy(update={"data": data}), directory=None)


@pytest.fixture
def context() -> Iterator[RequestContext]:
    engine = Engine(lambda sentences, seconds: None, threads=(1, 1))
    yield RequestContext(engine)
    engine.close(60)


def test_routes_are_direct_or_by_way_of_a_third_language(translator: Translator) -> None:
    pairs = [("de", "en"), ("en", "fr"), ("de", "cs"), ("cs", "fr"), ("fr", "zt")]
    directions = ModelRouter(as_direction(translator, *pair) for pair in pairs)
    models = directions.models
    assert directions.route("de", "en") == [models["de", "en"]]
    assert directions.route("de", "fr") == [models["de", "en"], models["en", "fr"]]
    assert directions.route("de", "de") == []
    assert directions.route("de", "zt") is None
    assert directions.targets("de") == ["cs", "de", "en", "fr"]
    assert directions.find("ZH-hant") == directions.find("zt") == "zt"
    assert directions.find("xx") is None
    several = ModelRouter([translator, translator, as_direction(translator, "de", "fr"), translator])
    assert list(several.named) == ["model", "model-2", "de-fr", "model-3"]
    assert several.models["de", "en"] is translator
    with pytest.raises(UserError, match="no model"):
        ModelRouter([])


def test_each_line_of_a_dialogue_is_one_text_with_its_turns(translator: Translator) -> None:
    model = SimpleNamespace(task=SimpleNamespace(reader=LineReader(2)), vocabularies=translator.vocabularies)
    here: Any = SimpleNamespace(recalls=lambda route, text: False)
    segments, texts = Service.divided(here, [model], "Hallo.\tJa. Gut.\n\nNein.\tDoch.", "de")  # type: ignore[list-item]
    assert texts == ["Hallo.\tJa. Gut.", "Nein.\tDoch."]
    assert [segment.text for segment in segments if not segment.is_sentence] == ["\n", "\n"]


def test_a_model_whose_results_are_not_finite_is_a_fault_of_the_server(serve: Any, translator: Translator) -> None:
    model = copy.deepcopy(translator.model)
    torch.nn.init.constant_(model.decoder.output.bias_V, torch.nan)
    server = serve(translator.replaced(model=model))
    error = "Cannot translate text: The weights of the model are not finite: decoder.output."
    for path, field in (("/translate", "q"), ("/v1/translate", "text")):
        answer = server.request(path, {field: "Der Hund schläft.", **DIRECTION})
        assert (answer.status, answer.json) == (500, {"error": error})
    assert server.request("/health").status == 200


def test_a_pivot_translates_the_translation_and_chains_the_links(
    context: RequestContext, translator: Translator, backward: Translator, german: list[str]
) -> None:
    settings = TranslationOptions(2, with_alignment=True)
    found = context.translate([translator, backward], german[:2], settings)
    for line, translation in zip(german[:2], found, strict=True):
        [first] = translator.stream([line], with_alignment=True)
        [second] = backward.stream([first.text], n_best=2, with_alignment=True)
        assert (translation.source, translation.text, translation.tokens) == (line, second.text, second.tokens)
        assert [candidate.text for candidate in translation.n_best] == [candidate.text for candidate in second.n_best]
        assert translation.score == pytest.approx(first.score + second.score, abs=1e-4)
        assert set(translation.alignment or ()) == {
            (i, k) for i, j in first.alignment or () for also_j, k in second.alignment or () if j == also_j
        }


def test_each_candidate_has_links_of_its_own(
    context: RequestContext, translator: Translator, backward: Translator, german: list[str]
) -> None:
    settings = TranslationOptions(3, with_alignment=True)
    for route in ([translator], [translator, backward]):
        found = context.candidates(route, german[:2], settings)
        for of_one, whole in zip(found, context.translate(route, german[:2], settings), strict=True):
            assert [each.text for each in of_one] == [candidate.text for candidate in whole.n_best]
            assert of_one[0] == whole
            assert {each.source for each in of_one} == {whole.source}
            pivot = translator(whole.source).text if len(route) > 1 else whole.source
            aligned = route[-1].align([(pivot, each.text) for each in of_one])
            own = [{t for _, t in each.alignment or ()} for each in of_one]
            assert all(targets <= {t for _, t in links.links} for targets, links in zip(own, aligned, strict=True))
            assert all(own)


def test_a_search_without_end_costs_one_request(
    serve: Callable[..., Any], translator: Translator, german: list[str], endless: threading.Event
) -> None:
    own = serve(translator, time_limit=1)
    answer = own.translate("endless")
    text = "Cannot translate text: the time limit of 1 seconds was exceeded"
    assert (answer.status, answer.json) == (504, {"error": text})
    assert endless.is_set()
    # It ended between two steps, as nobody waits for it.
    assert own.translate(german[0]).status == 200
    assert own.ask(text=german[0])


@pytest.mark.parametrize("body", [{}, {"stream": True}], ids=["whole", "stream"])
def test_a_request_that_takes_too_long_is_given_up(
    serve: Callable[..., Any], translator: Translator, body: dict[str, Any]
) -> None:
    own = serve(translator, time_limit=1)
    with held(own.service.engine):
        answer = own.request("/v1/translate", {"text": "Der Hund", **DIRECTION, **body})
    text = "Cannot translate text: the time limit of 1 seconds was exceeded"
    assert (answer.status, answer.json) == (504, {"error": text})
    assert own.ask(text="Die Katze")


def test_a_sentence_that_is_too_long_for_the_model_is_translated_in_parts(
    context: RequestContext, translator: Translator, german: list[str]
) -> None:
    shorter = translator.replaced()
    shorter.max_pieces = 12
    [found] = context.translate([shorter], [" ".join(german[:6])], TranslationOptions())
    assert len(found.text.split()) > 20


def test_the_languages_of_a_text_are_ranked() -> None:
    languages, confidences = zip(*languages_of("Un homme dort.", ["de", "en", "fr", "xx"]), strict=True)
    assert (languages[0], sorted(languages)) == ("fr", ["de", "en", "fr", "xx"])
    assert list(confidences) == sorted(confidences, reverse=True)
    assert 0 <= confidences[-1] < confidences[0] <= 100


def test_the_confidence_is_low_for_other_languages_and_little_text() -> None:
    codes = ["de", "en"]
    assert languages_of("Ein Mann geht mit seinem Hund durch den Park.", codes)[0][1] > 90
    assert languages_of("Un homme dort dans le jardin avec son chien.", codes)[0][1] < 10
    assert languages_of("Hund", codes)[0][1] < 50
    assert languages_of("😀 … !", codes) == []


@pytest.fixture(scope="module")
def tagged(train_tiny: Callable[..., Path], tiny_corpus: Path) -> Translator:
    """Hardly trained, with the tags <2en> and <2de>."""
    files = {"source": str(tiny_corpus / "train.de"), "target": str(tiny_corpus / "train.en")}
    corpora = [{"name": tag, "tag": tag, **files} for tag in ("<2en>", "<2de>")]
    return nmt.load(train_tiny(f"data.corpora={json.dumps(corpora)}", "training.max_steps=20"))


def test_a_tag_holds_for_the_sentences_behind_it(
    serve: Callable[..., Any], tagged: Translator, german: list[str]
) -> None:
    text = f"<2de> {german[0]} {german[1]}\n<2en> {german[2]} {german[3]} www.example.org"
    wanted = [*(f"<2de> {line}" for line in german[:2]), *(f"<2en> {line}" for line in german[2:4])]
    expected = [each.text for each in tagged.translate(wanted)]
    server = serve(tagged)
    [answer] = server.ask(text=text)
    assert [sentence["source"] for sentence in answer["sentences"]][:3] == wanted[:3]
    assert [sentence["translation"] for sentence in answer["sentences"]][:3] == expected[:3]
    translated = server.translate(text).json["translatedText"]
    assert translated.startswith(f"{expected[0]} {expected[1]}\n{expected[2]}")


def test_a_tag_is_in_front_of_each_part_of_a_long_sentence(tagged: Translator, german: list[str]) -> None:
    shorter = tagged.replaced()
    shorter.max_pieces = 12
    parts = in_parts(Request(f"<2de> {' '.join(german[:6])}"), shorter)
    assert len(parts) > 3
    assert all(part.source.startswith("<2de> ") and part.source.count("<2de>") == 1 for part in parts)
    assert " ".join(part.source.removeprefix("<2de> ") for part in parts) == " ".join(german[:6])


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/translate", "/v1/translate"])
def test_small_requests_do_not_wait_for_the_threads_of_large_ones(
    serve: Callable[..., Any], translator: Translator, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(service, "NUM_THREADS", 2)
    started, release = threading.Semaphore(0), threading.Event()

    def wait_if_long(context: RequestContext, route: Any, requests: Any, *args: Any, **kwargs: Any) -> Any:
        if len(list(requests)) > 10:
            started.release()
            release.wait(60)
        return translate(context, route, requests, *args, **kwargs)

    translate = RequestContext.translate
    monkeypatch.setattr(RequestContext, "translate", wait_if_long)
    limited = serve(translator, time_limit=5.0)
    name = "q" if path == "/translate" else "text"
    large = {name: ["Ein Hund. " * 1500] * 4, **DIRECTION}
    client = threading.Thread(target=limited.request, args=(path, large))
    client.start()
    try:
        assert all(started.acquire(timeout=30) for _ in range(2))
        assert limited.request(path, {name: "Ein Hund.", **DIRECTION}).status == 200
    finally:
        release.set()
        client.join()


def test_corrections_answer_at_once(own_model: Path, serve: Callable[..., Any]) -> None:
    text = "Ein Hund schläft im Haus."
    correction = {"text": text, **DIRECTION, "translation": "The dog sleeps inside."}
    closed = serve(nmt.load(own_model))
    refused = closed.request("/v1/feedback", correction)
    assert (refused.status, "nmt serve --feedback" in refused.json["error"]) == (403, True)
    assert closed.request("/suggest", form={"q": "a"}).status == 403
    assert not closed.request("/frontend/settings").json["suggestions"]
    server = serve(nmt.load(own_model), feedback=True)
    for path in ("/v1/feedback", "/suggest"):  # a form of a page that a browser on the server's machine has opened
        assert server.request(path, correction, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
        assert server.request(path, correction, headers={"Origin": "http://other.org"}).status == 403  # without HTTPS
    own = {"Origin": "http://localhost", "Host": "localhost"}
    assert server.request("/v1/feedback", correction, headers=own).status == 200
    assert server.request("/v1/feedback", correction).json == {"success": True}
    [found] = server.ask(text=text, alignment=True)
    assert found["text"] == "The dog sleeps inside."
    [sentence] = found["sentences"]
    assert sentence["memory"]["similarity"] == 1.0
    assert sentence["alignment"] is not None
    # A whole text is known, too, and each of its sentences; others are translated by the model.
    both = {"q": f"{text} Er ist alt.", "s": "An old dog sleeps.", **DIRECTION}
    assert server.translate(both["q"]).json["translatedText"].startswith("The dog sleeps inside. ")
    assert server.request("/suggest", both).json == {"success": True}
    assert server.translate(both["q"]).json == {"translatedText": "An old dog sleeps."}
    [found] = server.ask(text=text, forbid=["dog"])
    assert "memory" not in found["sentences"][0]
    [found] = server.ask(text="Ein Hund schläft im Hause.", suggest=True)
    assert found["text"] != "The dog sleeps inside."
    assert found["sentences"][0]["memory"]["translation"] == "The dog sleeps inside."
    for wrong in (correction | {"text": " "}, correction | {"source": "xx"}, correction | {"text": "a" * 20_001}):
        assert server.request("/v1/feedback", wrong).status == 400
    missing = server.request("/suggest", {"q": "a", **DIRECTION})
    assert (missing.status, missing.json["error"]) == (400, "Invalid request: missing s parameter")
    assert server.request("/frontend/settings").json["suggestions"]
    (own_model / "memory.sqlite").write_bytes(b"nonsense" * 1000)  # no request is to blame for that
    assert [server.translate("a").status, server.request("/v1/feedback", correction).status] == [500, 500]


def test_corrections_with_an_api_key(own_model: Path, serve: Callable[..., Any]) -> None:
    body = {"text": "Der Garten.", "translation": "The yard.", **DIRECTION}
    server = serve(nmt.load(own_model), keys=("k",))
    assert server.request("/v1/feedback", body).status == 400
    assert server.request("/v1/feedback", body, headers={"Authorization": "Bearer k"}).json == {"success": True}
    form = {"q": "Der Garten.", "s": "The park.", **DIRECTION, "api_key": "k"}
    assert server.request("/suggest", form=form).json == {"success": True}
    entries = [(entry.source, entry.target) for entry in nmt.TranslationMemory(own_model)]
    assert ("Der Garten.", "The park.") in entries


def test_corrections_need_a_folder_that_can_be_written(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != own_model)  # as of a read-only volume
    with pytest.raises(UserError, match=r"is not writable.*\n.*remove --feedback"):
        Service([nmt.load(own_model)], feedback=True)
    Service([nmt.load(own_model)], api_keys=["k"]).close()
