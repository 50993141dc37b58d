"""Uploaded documents: hostile ones, those that nobody waits for any more, and small requests beside large ones."""

import contextlib
import gc
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nmt.extensions.serving import libretranslate
from nmt.extensions.serving.libretranslate import _Files
from nmt.extensions.serving.limits import ApiError
from nmt.extensions.serving.process import DocumentProcess
from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import LINE, Hold, form_of


def test_a_document_that_takes_long_to_read_delays_nobody(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a.srt": "1\n00:00:01,000 --> " + "0" * 200_000, "a.md": "*a **" * 20_000}
    read, is_answered = DocumentProcess.translate, threading.Event()

    def read_later(*arguments: Any) -> bytes:
        assert is_answered.wait(300)
        return read(*arguments)

    monkeypatch.setattr(DocumentProcess, "translate", read_later)
    with ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(server.upload, f'name="file"; filename="{name}"', files[name]) for name in files]
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
        answer = server.translate(text, format=form)
        assert answer.status == 200
        found = answer.json["translatedText"]
        assert all(found.count(kept) == 1 for kept in ("https://x.org", "{name}") if kept in text)
    [sentence] = server.ask(text=f"Hund {word}", alignment=True)[0]["sentences"]
    assert sentence["source"] == f"Hund {word}"
    assert {source for source, _ in sentence["alignment"]} <= {0, 1}


def test_a_document_that_nobody_waits_for_is_stopped(
    serve: Callable[..., Any], translator: Translator, hold: Hold, caplog: pytest.LogCaptureFixture
) -> None:
    own = serve(translator)
    release = hold(own.service.engine)
    body = form_of('name="file"; filename="a.txt"', f"{LINE}\n" * 2000)
    with caplog.at_level(logging.ERROR), own.connect() as client:
        head = "POST /translate_file HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while not own.service.engine.num_waiting:
            time.sleep(0.01)
        client.close()
        while own.service.metrics.active._value.get():
            time.sleep(0.01)
        release.set()
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
    assert len(list(tmp_path.iterdir())) == 2
