"""Hostile requests, the end of the server, and which models are served."""

import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import pytest
import serve_sessions
import yaml
from refusals import refused

from nmt.extensions.serving import app
from nmt.extensions.serving.app import load_models, serve
from nmt.extensions.serving.service import Service
from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import LINE, Server


@pytest.mark.skipif(sys.platform != "linux", reason="clients have several addresses of this machine")
def test_sound_requests_among_changed_ones_get_their_answers(server: Any) -> None:
    expected = serve_sessions.Expected()
    assert [serve_sessions.run(server.address, number, 1, expected)[1] for number in range(20)] == [[]] * 20
    assert len(expected.answers) > 10


def test_script_and_lone_surrogates_in_text_are_text(server: Any) -> None:
    answer = server.translate("\ud800 Hund <script>alert(1)</script>")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"


def started(*command: Any) -> tuple[subprocess.Popen[str], IO[str], Server]:
    """Returns the process of a server, its messages after the first one, and what sends requests to it."""
    process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    message = process.stderr.readline()
    url = re.search(r"http://\S+", message)
    assert url, message
    assert "de-en" in message
    return process, process.stderr, Server(url[0])


@pytest.mark.posix
def test_sigterm_stops_the_server_when_everything_accepted_is_answered(python: Path, tiny_model: Path) -> None:
    process, messages, server = started(python, "-m", "nmt", "serve", tiny_model)
    answers: list[int] = []

    def ask() -> None:
        answers.append(len(server.translate([LINE] * 100).json["translatedText"]))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    active = ""
    while "nmt_requests_active 4.0" not in active and not answers:
        active = server.request("/metrics").body.decode()
    process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join()
    assert process.wait(300) == 0
    assert answers == [100] * 4
    assert messages.read() == ""


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
    process, messages, server = started(python, "-c", ENDLESS, "serve", tiny_model, "--time-limit", "5")
    with server.connect() as client:
        client.sendall(b"GET /translate?q=a&source=de&target=en HTTP/1.1\r\nHost: x\r\n\r\n")
        assert messages.readline() == "begun\n"
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
    refused(run_nmt("serve", tiny_model), 'pip install "nmt[serve]"')


def test_bad_usage(run_nmt: Any, tiny_model: Path, tmp_path: Path, server: Any) -> None:
    port = server.url.rpartition(":")[2]
    empty = tmp_path / "keys"
    empty.write_text("\n")
    for arguments, message in (
        (["nowhere"], "not a model directory"),
        ([tmp_path], "not a model directory"),
        (["x" * 5000], "not a model directory"),
        ([tiny_model, "--port", port], "Cannot listen"),
        ([tiny_model, "--api-keys", empty], "has no API key"),
    ):
        refused(run_nmt("serve", *arguments), message)


def test_a_folder_stands_for_the_models_in_it(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        shutil.copytree(tiny_model, tmp_path / "runs" / name)
    (tmp_path / "runs" / "unfinished").mkdir()
    shutil.copy(tiny_model / "recipe.yaml", tmp_path / "runs" / "unfinished")
    (tmp_path / "runs" / "notes.txt").write_text("a\n")
    models = load_models([tmp_path / "runs", tiny_model], "cpu", "torch")
    assert [model.directory for model in models] == [tmp_path / "runs" / "a", tmp_path / "runs" / "b", tiny_model]


def test_a_signal_before_the_server_runs_stops_it(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "say", lambda text: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr("sys.setswitchinterval", lambda seconds: None)
    serve(Service([translator]), "127.0.0.1", 0)  # would run for ever


def test_compose_serves_the_folder_that_it_mounts(repo_root: Path, run_nmt: Any) -> None:
    service = yaml.safe_load((repo_root / "compose.yaml").read_text("utf-8"))["services"]["nmt"]
    [volume] = service["volumes"]
    host, inside, *mode = volume.split(":")
    assert (host, inside) == ("./runs", service["command"][0])
    assert mode == []  # corrections are written into the folders
    refused(run_nmt("serve", repo_root / "tests" / "nowhere", *service["command"][1:]), "not a model directory")
    assert f":{inside}:ro nmt {inside}" in (repo_root / "Dockerfile").read_text("utf-8")
