"""Hostile requests, and the end of the server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import serve_sessions


@pytest.mark.skipif(sys.platform != "linux", reason="clients have several addresses of this machine")
def test_sound_requests_among_changed_ones_get_their_answers(server: Any) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    expected = serve_sessions.Expected()
    assert [serve_sessions.run((host, int(port)), number, 1, expected)[1] for number in range(20)] == [[]] * 20
    assert len(expected.answers) > 10


def test_script_and_lone_surrogates_in_text_are_text(server: Any) -> None:
    text = "\ud800 Hund <script>alert(1)</script>"
    answer = server.request("/translate", json.dumps({"q": text, "source": "de", "target": "en"}).encode())
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.posix
def test_sigterm_stops_the_server_when_everything_accepted_is_answered(python: Path, tiny_model: Path) -> None:
    command = [python, "-m", "nmt", "serve", str(tiny_model), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    assert process.stderr is not None
    started = process.stderr.readline()
    url = re.search(r"http://\S+", started)
    assert url, started
    assert "de-en" in started
    answers: list[int] = []

    def ask() -> None:
        body = json.dumps({"q": ["Der Hund schläft im Garten."] * 100, "source": "de", "target": "en"}).encode()
        request = urllib.request.Request(f"{url[0]}/translate", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            answers.append(len(json.load(answer)["translatedText"]))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    active = ""
    while "nmt_requests_active 4.0" not in active and not answers:
        active = urllib.request.urlopen(f"{url[0]}/metrics", timeout=300).read().decode()
    process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join()
    assert process.wait(300) == 0
    assert answers == [100] * 4
    assert process.stderr.read() == ""


ENDLESS = """
import sys, time
from nmt.__main__ import main
from nmt.extensions.serving import service
from nmt.translation.translator import Translator

def stream(*given, **named):
    print("begun", file=sys.stderr, flush=True)
    while True:  # as in a library that can't be stopped
        time.sleep(0.01)

Translator.stream, service.CLOSE_SECONDS = stream, 0.1
main()
"""


@pytest.mark.slow
@pytest.mark.posix
def test_sigterm_stops_the_server_during_a_search_that_never_ends(python: Path, tiny_model: Path) -> None:
    command = [python, "-c", ENDLESS, "serve", str(tiny_model), "--port", "0", "--time-limit", "0.5"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = re.search(r"http://\S+", process.stderr.readline())
    assert url
    host, port = url[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /translate?q=a&source=de&target=en HTTP/1.1\r\nHost: x\r\n\r\n")
        assert process.stderr.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert client.recv(1000).startswith(b"HTTP/1.1 504")


def test_a_missing_extra_is_named(run_nmt: Any, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("nmt.extensions.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    done = run_nmt("serve", tiny_model)
    assert done.returncode == 2
    assert "pip install 'nmt[serve]'" in done.stderr


def test_bad_usage(run_nmt: Any, tiny_model: Path, tmp_path: Path, server: Any) -> None:
    port = server.url.rpartition(":")[2]
    empty = tmp_path / "keys"
    empty.write_text("\n")
    for arguments, message in (
        (["nowhere"], "not a model directory"),
        ([tiny_model, "--port", port], "Cannot listen"),
        ([tiny_model, "--api-keys", empty], "has no API key"),
    ):
        done = run_nmt("serve", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
