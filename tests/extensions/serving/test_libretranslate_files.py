"""Uploaded documents: hostile ones, those that nobody waits for any more, and small requests beside large ones."""

import contextlib
import gc
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nmt.extensions.serving import libretranslate
from nmt.extensions.serving.engine import Engine
from nmt.extensions.serving.libretranslate import _Files
from nmt.extensions.serving.limits import ApiError
from nmt.extensions.serving.process import DocumentProcess
from nmt.translation.translator import Translator

LINE = "Der Hund schläft im Garten."
Hold = Callable[[Engine], threading.Event]


def upload(name: str, content: bytes, source: str = "de") -> bytes:
    """The body of a form; its boundary is x."""
    fields = (
        ("source", b"", source.encode()),
        ("target", b"", b"en"),
        ("file", b'; filename="%s"' % name.encode(), content),
    )
    form = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    return b"".join(form % (field.encode(), rest, value) for field, rest, value in fields) + b"--x--\r\n"


def send(server: Any, body: bytes) -> Any:
    return server.request("/translate_file", body, headers={"Content-Type": "multipart/form-data; boundary=x"})


def test_a_document_that_takes_long_to_read_delays_nobody(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = upload("a.srt", b"1\n00:00:01,000 --> " + b"0" * 200_000)
    marks = upload("a.md", b"*a **" * 20_000)
    read, is_answered = DocumentProcess.translate, threading.Event()

    def read_later(*arguments: Any) -> bytes:
        assert is_answered.wait(300)
        return read(*arguments)

    monkeypatch.setattr(DocumentProcess, "translate", read_later)
    with ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(send, server, body) for body in (zeros, marks)]
        while server.service._num_documents < 2:
            time.sleep(0.01)
        assert server.request("/health").status == 200
        assert not any(answer.done() for answer in waiting)
        is_answered.set()
    assert [answer.result().status for answer in waiting] == [400, 400]


@pytest.mark.parametrize("word", ["a" * 600, "0123456789abcdef" * 60, "a-" * 400])
def test_a_word_that_is_longer_than_the_model_reads(server: Any, word: str) -> None:
    for text, form in (
        (f"{LINE} {word} https://x.org {{name}}", "text"),
        (f"Der <b>Hund</b> {word} <i>schläft</i>", "html"),
    ):
        answer = server.request("/translate", {"q": text, "source": "de", "target": "en", "format": form})
        assert answer.status == 200
        found = answer.json["translatedText"]
        assert all(found.count(kept) == 1 for kept in ("https://x.org", "{name}") if kept in text)
    body = {"text": f"Hund {word}", "source": "de", "target": "en", "alignment": True}
    sentence = server.request("/v1/translate", body).json["translations"][0]["sentences"][0]
    assert sentence["source"] == body["text"]
    assert {source for source, _ in sentence["alignment"]} <= {0, 1}


def test_a_document_that_nobody_waits_for_is_stopped(
    serve: Callable[..., Any], translator: Translator, hold: Hold, caplog: pytest.LogCaptureFixture
) -> None:
    own = serve(translator)
    release = hold(own.service.engine)
    body = upload("a.txt", f"{LINE}\n".encode() * 2000)
    host, port = own.url.removeprefix("http://").split(":")
    with caplog.at_level(logging.ERROR), socket.create_connection((host, int(port))) as client:
        head = "POST /translate_file HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while not own.service.engine.num_waiting:
            time.sleep(0.01)
        client.close()
        while own.service.metrics.active._value.get():
            time.sleep(0.01)
        release.set()
        assert own.request("/translate", {"q": LINE, "source": "de", "target": "en"}).status == 200
        assert own.service.metrics.sentences._value.get() == 1
    gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.mark.slow
def test_too_many_documents(serve: Callable[..., Any], translator: Translator, hold: Hold) -> None:
    own = serve(translator, documents=1)
    release = hold(own.service.engine)
    with ThreadPoolExecutor(1) as clients:
        first = clients.submit(send, own, upload("a.txt", LINE.encode()))
        while not own.service.engine.num_waiting:
            time.sleep(0.01)
        refused = send(own, upload("a.txt", LINE.encode()))
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        release.set()
        assert first.result().status == 200


def test_translated_files_take_a_bounded_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libretranslate, "MAX_KEPT", 3)
    monkeypatch.setattr(libretranslate, "MAX_KEPT_BYTES", 1000)
    files = _Files()
    names = [files.add("a.txt", b"a" * size) for size in (100, 100, 100, 100, 850)]
    kept = []
    for name in names:
        with contextlib.suppress(ApiError):
            kept.append(len(files.find(name).read_bytes()))
    assert kept == [100, 850]
