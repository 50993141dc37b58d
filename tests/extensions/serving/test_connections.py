"""Clients that open connections and never finish a request, and those that claim to be others."""

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from nmt.extensions.serving import connections, http, libretranslate
from nmt.extensions.serving.options import ServeOptions
from nmt.extensions.serving.service import Service
from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import held, running


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionError:
        return True


def test_headers_that_never_end_close_the_connection(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    for begin in (b"", b"GET / HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea"):
        with server.connect() as client:
            client.sendall(begin)
            if begin.endswith(b"GET /hea"):
                assert client.recv(10_000).startswith(b"HTTP/1.1 200")
            assert is_closed(client)


def test_the_time_of_headers_begins_with_their_first_byte(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the end of the answer before, which may take long."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with held(server.service.engine), server.connect() as client:
        client.sendall(b"GET /translate?q=Hund&source=de&target=en HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
        assert is_closed(client)


@pytest.mark.quick("x-POST /nowhere", "?n-GET /health")
@pytest.mark.parametrize("request_line", ["POST /nowhere", "POST /health", "GET /health", "OPTIONS /translate"])
@pytest.mark.parametrize("byte", [b"x", b"\n"])
def test_a_connection_ends_after_its_answer_whatever_the_client_sends(
    server: Any, monkeypatch: pytest.MonkeyPatch, request_line: str, byte: bytes
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    size = 0 if byte == b"\n" else 10**6  # empty lines before a request belong to none
    with server.connect() as client:
        client.sendall(f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        assert client.recv(10_000).startswith(b"HTTP/1.1 ")
        is_open, end = True, time.monotonic() + 300
        while is_open and time.monotonic() < end:
            try:
                client.sendall(byte)
            except ConnectionError:
                is_open = False
            time.sleep(0.05)
        assert not is_open


def test_a_body_of_unknown_length_is_limited_too(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    with server.connect() as client:
        client.sendall(b"POST /translate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n")
        client.sendall(b"Content-Type: application/json\r\n\r\n")
        client.sendall((b"12c\r\n" + b" " * 300 + b"\r\n") * 5 + b"0\r\n\r\n")
        assert client.recv(10_000).startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_no_slow_header(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with server.connect() as client:
        client.sendall(b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n")
        client.sendall(b"Content-Type: application/x-www-form-urlencoded\r\n\r\nq=Hund&")
        time.sleep(1)
        client.sendall(b"source=de&target=en")
        assert client.recv(10_000).startswith(b"HTTP/1.1 200")


def test_large_and_many_headers_are_refused(server: Any) -> None:
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 200 + b"\r\n")
        assert client.recv(10_000).startswith(b"HTTP/1.1 431")
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(100):
            try:
                client.sendall(b"a" * 10_000)
            except ConnectionError:
                break
            time.sleep(0.001)
        assert is_closed(client)


@pytest.mark.quick("POST*")
@pytest.mark.parametrize("end", ["", "POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nq", "\0"])
def test_clients_that_never_read_make_room_for_others(
    serve: Callable[..., Any], translator: Translator, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Also where the server has closed their connection, because what they sent at last is no HTTP."""
    own = serve(translator, time_limit=0.2)
    monkeypatch.setattr(connections, "HEADER_SECONDS", 60)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(own.connect(receive_buffer=4096))
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 300 + end.encode())
        answers, give_up = list[int](), time.monotonic() + 20
        while not answers and time.monotonic() < give_up:
            with contextlib.suppress(OSError):
                answers.append(own.request("/health").status)
        assert answers == [200]


def test_a_client_that_reads_slowly_gets_a_long_answer_whole(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it takes longer than the headers of the next request may."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    text = "-" * 6_000_000
    monkeypatch.setitem(libretranslate.SPECIFICATION, "x", text)
    with server.connect(receive_buffer=16_384) as client:
        client.sendall(b"GET /spec HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received, begin = bytearray(client.recv(1000)), time.monotonic()
        while time.monotonic() < begin + 0.6:
            received += client.recv(65_536)
            time.sleep(0.01)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        while chunk := client.recv(1 << 20):
            received += chunk
    assert received.endswith(b'"x":"' + text.encode() + b'"}')


def test_a_request_names_one_sound_host(server: Any) -> None:
    def status(version: str, *hosts: str) -> bytes:
        with server.connect() as client:
            head = "".join(f"Host: {host}\r\n" for host in hosts)
            client.sendall(f"GET /health HTTP/{version}\r\n{head}Connection: close\r\n\r\n".encode())
            return client.recv(10_000)[9:12]

    for host in ("x", "x.org:80", "127.0.0.1:5000", "[::1]:5000", "a_b-c.example", ""):
        assert status("1.1", host) == b"200"
    for host in ("a b", "x/y", "x?y", 'x"><script>', "x@y", "x:y", "[::1", "x:5:5", "ä", "x, y"):
        assert status("1.1", host) == b"400"
    assert (status("1.1"), status("1.1", "x", "x"), status("1.0")) == (b"400", b"400", b"200")


@pytest.mark.parametrize(("method", "content"), [("GET", b"Invalid HTTP request received."), ("HEAD", b"")])
def test_an_invalid_request_is_refused_without_content_for_head(server: Any, method: str, content: bytes) -> None:
    with server.connect() as client, client.makefile("rb") as file:
        client.sendall(f"{method} /health HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n".encode())
        head, _, received = file.read().partition(b"\r\n\r\n")
    assert (head[:12], received) == (b"HTTP/1.1 400", content)


def test_connections_are_limited(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    first, second, third = server.connect(), server.connect(), server.connect()
    assert is_closed(third)
    first.close()
    second.close()
    answers = list[int]()
    while not answers:  # the server may not have noticed yet that they are closed
        with contextlib.suppress(OSError):
            answers.append(server.request("/health").status)
    assert answers == [200]


def test_a_forwarded_address_is_believed_only_from_a_trusted_proxy(translator: Translator) -> None:
    for proxies, expected in (("", [200, 429]), ("127.0.0.1", [200, 200])):
        with running(Service([translator], ServeOptions(rate_limit=1)), proxies) as server:
            sent = [{"X-Forwarded-For": address} for address in ("10.0.0.1", "10.0.0.2")]
            path = "/translate?q=Hund&source=de&target=en"
            assert [server.request(path, headers=headers).status for headers in sent] == expected


def test_wrong_keys_are_limited(serve: Callable[..., Any], translator: Translator) -> None:
    limited = serve(translator, keys=("right",))
    statuses = [limited.translate("Hund", api_key=f"{n}").status for n in range(12)]
    assert statuses == [403] * 10 + [429] * 2
    assert limited.translate("Hund", api_key="right").status == 429


@pytest.mark.parametrize("key", ["ключ", "schlüssel", "🔑", "Ã¼"])
def test_a_key_may_have_letters_beyond_ascii(serve: Callable[..., Any], translator: Translator, key: str) -> None:
    limited = serve(translator, keys=(key,))
    headers = [f"Bearer {key}".encode().decode("latin-1")]  # urllib writes headers as Latin-1
    if key == "schlüssel":
        headers.append(f"Bearer {key}")
    statuses = [
        limited.request("/translate?q=Hund&source=de&target=en", headers={"Authorization": each}).status
        for each in (*headers, f"Bearer {key[0]!a}")
    ]
    assert statuses == [200] * len(headers) + [403]
    assert limited.translate("Hund", api_key=key).status == 200
