"""The API of LibreTranslate, as its clients use it."""

import contextlib
import errno
import gc
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from libretranslatepy import LibreTranslateAPI

from nmt.extensions.serving import http, libretranslate, limits, service
from nmt.extensions.serving.libretranslate import _Files
from nmt.extensions.serving.limits import ApiError, RateLimit
from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import DIRECTION, LINE, form_of, held


def test_libretranslatepy(server: Any, english: Callable[[str], str]) -> None:
    client = LibreTranslateAPI(f"{server.url}/")
    assert client.translate(LINE, "de", "en") == english(LINE)
    assert client.detect(LINE)[0]["language"] == "de"
    assert [language["code"] for language in client.languages()] == ["de", "en"]


def test_mastodon(server: Any, english: Callable[[str], str]) -> None:
    """Reads ``targets`` of each language; sends a list with ``source: auto``."""
    languages = {language["code"]: language["targets"] for language in server.request("/languages").json}
    assert languages == {"de": ["de", "en"], "en": ["de", "en"]}
    answer = server.translate([LINE, "Hello, my old friend!"], source="auto")
    assert answer.json["translatedText"] == [english(LINE), "Hello, my old friend!"]
    assert [found["language"] for found in answer.json["detectedLanguage"]] == ["de", "en"]
    assert all(0 < found["confidence"] <= 100 for found in answer.json["detectedLanguage"])
    posted = server.translate([f"<p>{LINE}<br>…</p>", f"<p><b>{LINE}</b></p>"], source="auto", format="html")
    assert posted.json["translatedText"] == [f"<p>{english(LINE)}<br>…</p>", f"<p><b>{english(LINE)}</b></p>"]


def test_dialect(server: Any, serve: Callable[..., Any], translator: Translator) -> None:
    """Checks the title of /spec and the settings, and validates its key by a form to /detect."""
    specification = server.request("/spec").json
    assert (specification["swagger"], specification["info"]["title"]) == ("2.0", "LibreTranslate")
    settings = server.request("/frontend/settings").json
    assert settings["language"]["source"] == {"code": "auto", "name": "Auto Detect"}
    assert settings["charLimit"] == 20_000
    assert settings["frontendTimeout"] == 500
    assert not settings["keyRequired"]
    closed = serve(translator, keys=("secret",))
    assert closed.request("/frontend/settings").json["keyRequired"]
    wrong = closed.request("/detect", form={"q": "hello", "api_key": "wrong"})
    assert (wrong.status, wrong.json) == (403, {"error": "Invalid API key"})
    missing = closed.request("/detect", form={"q": "hello"})
    assert (missing.status, missing.json) == (400, {"error": "Please contact the server operator to get an API key"})
    assert closed.request("/detect", form={"q": "hello", "api_key": "secret"}).status == 200
    assert closed.request("/metrics").status == 400
    assert closed.request("/metrics", headers={"Authorization": "Bearer secret"}).status == 200


def test_omegat_sends_get_and_others_send_forms(server: Any, english: Callable[[str], str]) -> None:
    query = "/translate?q=Der+Hund+schl%C3%A4ft+im+Garten.&source=de&target=en"
    expected = {"translatedText": english(LINE)}
    assert server.request(query).json == server.translate(LINE).json == expected
    assert server.request(query, form={}).json == expected
    assert server.request("/translate", form={"q": LINE, "source": "DE", "target": "en"}).json == expected


@pytest.mark.parametrize("size", [0, 100_000])
def test_forms_of_curl_are_utf8_without_percent_encoding(server: Any, size: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for text in (LINE, "ein Hund schläft; er träumt"):
        body = f"q={text}&source=de&target=de&unused={'x' * size}".encode()
        assert server.request("/translate", body, headers=headers).json == {"translatedText": text}
    for wrong in (b"q=schl\xe4ft&source=de&target=en", b"&".join([b"q=a"] * 101)):
        refused = server.request("/translate", wrong, headers=headers)
        assert (refused.status, refused.json["error"]) == (400, "Invalid form")


def test_lines_are_kept_and_line_ends_of_forms_made_equal(server: Any, english: Callable[[str], str]) -> None:
    text = f"{LINE}\n\n  {LINE}\t12\n"
    answer = server.translate(text).json["translatedText"]
    assert answer.split("\n")[:2] == [english(LINE), ""]
    assert answer.startswith(f"{english(LINE)}\n\n  {english(LINE)}\t")
    again = server.request("/translate", form={"q": text.replace("\n", "\r\n"), **DIRECTION})
    assert again.json["translatedText"] == answer


def test_alternatives_are_unique_and_without_the_first(server: Any, translator: Translator) -> None:
    answer = server.translate(LINE, alternatives=3).json
    candidates = [c.text for c in translator.translate([LINE], n_best=4)[0].n_best]
    assert answer["translatedText"] == candidates[0]
    assert answer["alternatives"] == list(dict.fromkeys(c for c in candidates if c != candidates[0]))
    as_list = server.translate([LINE], alternatives="3").json
    assert as_list == {"translatedText": [answer["translatedText"]], "alternatives": [answer["alternatives"]]}


def test_alternatives_of_html_are_those_of_text_in_the_same_markup(server: Any) -> None:
    plain = server.translate(LINE, alternatives=3).json["alternatives"]
    assert len(plain) >= 2
    html = server.translate(f"<p>{LINE} <br></p>", alternatives=3, format="html").json
    assert html["alternatives"] == [f"<p>{text} <br></p>" for text in plain]
    bold = LINE.replace("Hund", "<b>Hund</b>")
    marked = server.translate([bold, bold], alternatives=3, format="html").json["alternatives"]
    assert [text.replace("<b>", "").replace("</b>", "") for text in marked[0]] == plain
    assert all(f"<b>{word}</b>" in text for text in marked[1] if (word := "dog") in text)


def test_files(server: Any, english: Callable[[str], str]) -> None:
    for source in ("de", "auto"):
        answer = server.upload('name="file"; filename="Ein Text.txt"', f"{LINE}\n\n{LINE}\n", source=source)
        url = answer.json["translatedFileUrl"]
        assert url.startswith(f"{server.url}/download_file/")
        found = server.request(url.removeprefix(server.url))
        assert found.body.decode() == f"{english(LINE)}\n\n{english(LINE)}\n"
        assert "attachment" in found.headers["Content-Disposition"]
    assert server.request("/download_file/nothing.txt").status == 404
    settings = server.request("/frontend/settings").json
    assert settings["filesTranslation"]
    assert {".txt", ".docx", ".odt", ".srt"} <= set(settings["supportedFilesFormat"])


def test_files_with_a_glossary(server: Any, translator: Translator) -> None:
    head = 'name="file"; filename="a.md"'
    answer = server.upload(head, f"# {LINE}\n", glossary="Hund\tcat\nMond\tsun\nGarten\tzzz\n")
    found = server.request(answer.json["translatedFileUrl"].removeprefix(server.url)).body.decode()
    assert found.startswith("# ")
    assert "cat" in found
    assert "zzz" in found
    assert "missing" not in answer.json
    wrong = server.upload(head, LINE, glossary="Hund")
    assert (wrong.status, "glossary, line 1" in wrong.json["error"]) == (400, True)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ('name="other"', "missing file parameter"),
        ('name="file"; filename=""', "missing file parameter"),
        ('name="file"; filename="a.exe"', "file format not supported"),
        ('name="file"; filename="../../a.docx"', "The file is not"),
    ],
)
def test_wrong_files(server: Any, part: str, text: str) -> None:
    answer = server.upload(part, "nothing")
    assert answer.status == 400
    assert text in answer.json["error"]


def test_clients_with_too_many_requests_are_refused(serve: Callable[..., Any], translator: Translator) -> None:
    limited = serve(translator, keys=("first", "second"), rate_limit=2)
    assert [limited.translate("Hund", api_key="first").status for _ in range(3)] == [200, 200, 429]
    refused = limited.request("/detect", {"q": "Hund", "api_key": "first"})
    assert (refused.status, refused.json) == (429, {"error": "Slowdown: 2 per 1 minute"})
    assert 0 < int(refused.headers["Retry-After"]) <= 30
    assert limited.request("/v1/models").status == limited.request("/languages").status == 200
    key = {"Authorization": "Bearer first"}
    assert limited.request("/v1/translate", {"text": "Hund", **DIRECTION}, headers=key).status == 429
    assert limited.translate("Hund", api_key="second").status == 200


def test_requests_that_were_not_made_add_up_to_those_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    monkeypatch.setattr(limits, "MAX_CLIENTS", 3)
    rate = RateLimit(30)

    def accepted(client: str) -> int:
        for number in range(100):
            try:
                rate.count(client)
            except ApiError:
                return number
        return 100

    assert accepted("a") == 30
    now = 10.0
    assert accepted("a") == 5
    now = 1000.0
    assert [accepted(client) for client in "abcdef"] == [30] * 6
    now = 2000.0
    assert accepted("g") == 30
    assert list(rate._clients) == ["g"]


def test_text_without_letters_comes_back(server: Any) -> None:
    answer = server.translate("😀 !", source="auto").json
    undetected = {"confidence": 0.0, "language": "en"}
    assert answer == {"translatedText": "😀 !", "detectedLanguage": undetected}
    assert server.request("/detect", {"q": "😀"}).json == [undetected]


ERRORS: list[tuple[Any, str]] = [
    (DIRECTION, "Invalid request: missing q parameter"),
    ({"q": "", **DIRECTION}, "Invalid request: missing q parameter"),
    ({"q": "a", "target": "en"}, "Invalid request: missing source parameter"),
    ({"q": "a", "source": "xx", "target": "en"}, "xx is not supported"),
    ({"q": "a", "source": "de", "target": "auto"}, "auto is not supported"),
    ({"q": "a", **DIRECTION, "format": "pdf"}, "pdf format is not supported"),
    ({"q": "a", **DIRECTION, "alternatives": "many"}, "Invalid request: alternatives parameter is not a number"),
    ({"q": "a", **DIRECTION, "alternatives": 11}, "Invalid request: alternatives parameter must be <= 10"),
    ({"q": "a" * 20_001, **DIRECTION}, "Invalid request: request (20001) exceeds text limit (20000)"),
    ({"q": ["a"] * 201, **DIRECTION}, "Invalid request: request (201) exceeds text limit (200)"),
    (b"{", "Invalid JSON format"),
    (b"[" * 100_000, "Invalid JSON format"),
]


@pytest.mark.parametrize(("body", "text"), ERRORS, ids=lambda value: str(value)[:40])
def test_errors(server: Any, body: Any, text: str) -> None:
    answer = server.request("/translate", body)
    assert (answer.status, answer.json) == (400, {"error": text})


def test_a_direction_without_a_model(serve: Callable[..., Any], translator: Translator) -> None:
    answer = serve(translator).translate("a", source="en", target="de")
    text = "German (de) is not available as a target language from English (en)"
    assert (answer.status, answer.json) == (400, {"error": text})


def test_every_answer_has_cors_headers_and_errors_are_json(server: Any) -> None:
    for answer in (
        server.request("/health"),
        server.request("/translate", {}),
        server.request("/nowhere"),
        server.request("/health", {}, method="POST"),
        server.request("/translate", method="OPTIONS"),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert answer.headers["Access-Control-Max-Age"] == "1728000"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert set(server.request("/nowhere").json) == {"error"}
    assert server.request("/health", {}, method="POST").status == 405
    head = server.request("/health", method="HEAD")
    assert (head.status, head.body) == (200, b"")


def test_a_body_that_is_too_large(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    for path in ("/translate", "/v1/translate"):
        assert server.request(path, {"q": "a" * 2000, **DIRECTION}).status == 413


@pytest.mark.quick("texts")
@pytest.mark.parametrize(("queue_size", "retry_after"), [(1, "1"), (2, "10")], ids=["texts", "documents"])
def test_a_full_queue(
    serve: Callable[..., Any], translator: Translator, monkeypatch: pytest.MonkeyPatch, queue_size: int,
    retry_after: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(service, "MAX_DOCUMENTS", 1)
    small = serve(translator, queue_size=queue_size)
    with ThreadPoolExecutor(1) as client, held(small.service.engine):
        waiting = client.submit(small.upload, 'name="file"; filename="a.txt"', LINE)
        while not small.service.engine.num_waiting:
            time.sleep(0.01)
        full = small.translate(LINE) if queue_size == 1 else small.upload('name="file"; filename="a.txt"', LINE)
        assert (full.status, full.headers["Retry-After"]) == (503, retry_after)
        assert small.request("/health").status == 200
    assert waiting.result().status == 200


def test_metrics(server: Any) -> None:
    server.translate(LINE)
    text = server.request("/metrics").body.decode()
    assert 'nmt_requests_total{path="/translate",status="200"}' in text
    assert "nmt_batch_sentences_count" in text
    assert LINE not in text


@pytest.mark.parametrize("word", ["a" * 600, "0123456789abcdef" * 60, "a-" * 400])
def test_a_word_that_is_longer_than_the_model_reads(server: Any, word: str) -> None:
    for text, form in (
        (f"{LINE} {word} https://x.org {{name}}", "text"),
        (f"Der <b>Hund</b> {word} <i>schläft</i>", "html"),
    ):
        answer = server.translate(text, format=form)
        assert answer.status == 200
        found = answer.json["translatedText"]
        assert all(found.count(kept) == 1 for kept in ("https://x.org", "{name}") if kept in text)
    [sentence] = server.ask(text=f"Hund {word}", alignment=True)[0]["sentences"]
    assert sentence["source"] == f"Hund {word}"
    assert {source for source, _ in sentence["alignment"]} <= {0, 1}


def test_a_document_that_nobody_waits_for_is_stopped(
    serve: Callable[..., Any], translator: Translator, caplog: pytest.LogCaptureFixture
) -> None:
    own = serve(translator)
    body = form_of('name="file"; filename="a.txt"', f"{LINE}\n" * 2000)
    with caplog.at_level(logging.ERROR):
        with held(own.service.engine), own.connect() as client:
            head = "POST /translate_file HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            while not own.service.engine.num_waiting:
                time.sleep(0.01)
            client.close()
            while own.service.metrics.registry.get_sample_value("nmt_requests_active"):
                time.sleep(0.01)
        assert own.translate(LINE).status == 200
        assert own.service.metrics.sentences._value.get() == 1
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_translated_files_take_a_bounded_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libretranslate, "MAX_KEPT", 3)
    monkeypatch.setattr(libretranslate, "MAX_KEPT_BYTES", 1000)
    files = _Files(tmp_path)
    names = [files.add("a.txt", b"a" * size) for size in (100, 100, 100, 100, 850)]
    kept = []
    for name in names:
        with contextlib.suppress(ApiError):
            kept.append(len(files.find(name).read_bytes()))
    assert kept == [100, 850]

    def filling(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", filling)
    with pytest.raises(ApiError, match="can't be kept: no space left on device"):
        files.add("b.txt", b"b")
    assert len(list(tmp_path.iterdir())) == 2
