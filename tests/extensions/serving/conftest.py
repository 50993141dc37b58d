"""A real server with a tiny model, and a small client."""

import json
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import nmt
from nmt.extensions.serving.app import make_server
from nmt.extensions.serving.engine import Engine
from nmt.extensions.serving.options import ServeOptions
from nmt.extensions.serving.service import Service
from nmt.translation.translator import Translator

LINE = "Der Hund schläft im Garten."
DIRECTION = {"source": "de", "target": "en"}


@dataclass(frozen=True)
class Answer:
    """Of the server."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A server that runs in a thread."""

    url: str
    service: Service | None = None

    def request(
        self, path: str, data: Any = None, *, form: dict[str, str] | None = None, method: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """Send JSON (or bytes as they are), or a form, or else GET."""
        body, kind = None, "application/json"
        if form is not None:
            body, kind = urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded"
        elif data is not None:
            body = data if isinstance(data, bytes) else json.dumps(data).encode()
        sent = {"Content-Type": kind} if body is not None else {}
        request = urllib.request.Request(self.url + path, body, sent | (headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def translate(self, text: Any, **body: Any) -> Answer:
        """Send German text to LibreTranslate's API."""
        return self.request("/translate", {"q": text, **DIRECTION, **body})

    def ask(self, **body: Any) -> Any:
        """Returns the translations of German text by nmt's own API."""
        answer = self.request("/v1/translate", {**DIRECTION, **body})
        assert answer.status == 200, answer.body
        return answer.json["translations"]

    def upload(self, file: str, content: str, **fields: str) -> Answer:
        """Send a German file to be translated; see :func:`form_of`."""
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.request("/translate_file", form_of(file, content, **fields), headers=headers)

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Opens a connection, of which the system takes as few bytes at a time as the buffer has."""
        client = socket.socket()
        client.settimeout(30)
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(self.address)
        return client

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)


def form_of(file: str, content: str, **fields: str) -> bytes:
    """Returns a form with a German file, whose part has this head; its boundary is x."""
    parts = [*((f'name="{name}"', value) for name, value in {**DIRECTION, **fields}.items()), (file, content)]
    body = "".join(f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in parts)
    return f"{body}--x--\r\n".encode()


@contextmanager
def running(service: Service, proxies: str = "") -> Iterator[Server]:
    server = make_server(service, "127.0.0.1", 0, proxies)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(f"http://127.0.0.1:{port}", service)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Searches for translations of lines with "endless" take steps for ever; the event says that one has begun."""
    stream, has_begun, is_over = Translator.stream, threading.Event(), threading.Event()
    nothing = torch.zeros(0, 3)

    def searching(self: Translator, lines: Any, *given: Any, processors: Any = (), **named: Any) -> Any:
        requests = list(lines)
        while any("endless" in getattr(request, "source", request) for request in requests) and not is_over.wait(0.001):
            has_begun.set()
            batch = SimpleNamespace(numbers=[], target=None)
            for processor in processors:
                processor(nothing, nothing, nothing, batch)
        return stream(self, requests, *given, processors=processors, **named)

    monkeypatch.setattr(Translator, "stream", searching)
    yield has_begun
    is_over.set()


@contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Keeps the model threads of an engine busy within the context, or for a minute.

    They are busy when it begins: a job that waits for a thread would count as one that is :attr:`Engine.num_waiting`.
    """
    are_busy, is_over = threading.Barrier(len(engine._threads) + 1), threading.Event()
    for _ in engine._threads:
        engine.call(lambda: (are_busy.wait(60), is_over.wait(60)))
    are_busy.wait(60)
    try:
        yield
    finally:
        is_over.set()


@pytest.fixture(scope="session")
def translator(tiny_model: Path) -> Translator:
    """German to English."""
    return nmt.load(tiny_model)


@pytest.fixture(scope="session")
def backward(train_tiny: Callable[..., Path]) -> Translator:
    """English to German, hardly trained."""
    return nmt.load(train_tiny("data.source=en", "data.target=de", "training.max_steps=20"))


@pytest.fixture(scope="session")
def server(translator: Translator, backward: Translator) -> Iterator[Server]:
    """A server of both directions."""
    with running(Service([translator, backward])) as started:
        yield started


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """``serve(translator, queue_size=1)``: servers with other limits, stopped after the test."""
    with ExitStack() as stack:

        def start(*models: Translator, keys: tuple[str, ...] = (), feedback: bool = False, **limits: Any) -> Server:
            return stack.enter_context(running(Service(models, ServeOptions(**limits), keys, feedback)))

        yield start


@pytest.fixture
def english(translator: Translator) -> Callable[[str], str]:
    """Translates a line without a server."""
    return lambda line: translator(line).text


@pytest.fixture(scope="session")
def german(tiny_corpus: Path) -> list[str]:
    return [
        line for split in ("train", "val") for line in (tiny_corpus / f"{split}.de").read_text("utf-8").splitlines()
    ]
