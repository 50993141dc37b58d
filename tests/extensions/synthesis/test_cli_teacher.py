"""``nmt distill --teacher`` against a server process with OpenAI's chat API."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fixture_types import RunNmt
from refusals import refused

import nmt
from tests.extensions.synthesis.conftest import MODEL, contents, lines_of

pytest.importorskip("httpx2")

NUM_LINES = 30


class Endpoint:
    """The server, and the requests that it has logged."""

    def __init__(self, port: int, log: Path) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}/v1", log

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, repo_root: Path) -> Iterator[Endpoint]:
    log = tmp_path_factory.mktemp("server") / "log"
    program = repo_root / "tests" / "extensions" / "synthesis" / "chat_server.py"
    process = subprocess.Popen([sys.executable, str(program), str(MODEL), str(log)], stdout=subprocess.PIPE, text=True)
    yield Endpoint(int(process.stdout.readline()), log)
    process.kill()
    process.wait()


@pytest.fixture
def endpoint(server: Endpoint) -> Endpoint:
    server.log.write_text("", "utf-8")
    return server


@pytest.fixture(scope="module")
def text(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 English lines, of which the seventh is empty."""
    path = tmp_path_factory.mktemp("text") / "mono.en"
    path.write_text("".join(f"{line}\n" for line in lines_of(corpus / "mono.en")[:NUM_LINES]), "utf-8")
    return path


@pytest.fixture
def distill(run_nmt: RunNmt, endpoint: Endpoint, text: Path, tmp_path: Path) -> RunNmt:
    """``distill("good", "--parallel", 4, code=2)``: asks a model of the server; the folder ``made`` is written."""

    def run(model: str, *options: object, languages: bool = True, code: int = 0, output: str = "made") -> Any:
        teacher = ["--teacher", endpoint.url, "--model", model, *(("--languages", "en,de") if languages else ())]
        done = run_nmt("distill", text, *teacher, *options, "-o", tmp_path / output)
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.mark.slow
def test_the_answers_are_the_target_side(
    distill: RunNmt, endpoint: Endpoint, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    done = distill("good", "--max-length", 9)
    sources = lines_of(text)
    expected = [found.text for found in nmt.load(MODEL, "cpu").translate(sources, beam_size=1, max_length=8)]
    removed = {json.loads(line)["line"] for line in lines_of(tmp_path / "made" / "removed.jsonl")}
    assert 7 in removed
    kept = [number - 1 for number in range(1, NUM_LINES + 1) if number not in removed]
    assert lines_of(tmp_path / "made" / "train.en") == [sources[number] for number in kept]
    assert lines_of(tmp_path / "made" / "train.de") == [expected[number] for number in kept]
    requests = endpoint.requests()
    assert len(requests) == NUM_LINES - 1  # none for the empty line
    assert requests[0]["body"] == {
        "model": "good",
        "messages": [{"role": "user", "content": "Translate this English text to German. Answer with the translation "
                      f"only.\n\n{requests[0]['body']['messages'][0]['content'].rpartition(chr(10))[2]}"}],
        "temperature": 0.0, "seed": 1, "max_tokens": 9,
    }  # fmt: skip
    assert requests[0]["headers"]["Authorization"] == "Bearer key"
    report = json.loads((tmp_path / "made" / "report.json").read_text("utf-8"))
    assert report["removed"]["score"] == 0
    assert "key" not in report["settings"].values()
    assert f"tokens used: {10 * (NUM_LINES - 1)}" in done.stderr


@pytest.mark.slow
def test_failures_are_retried_and_requests_are_parallel(distill: RunNmt, endpoint: Endpoint, tmp_path: Path) -> None:
    for model in ("good", "flaky"):
        distill(model, "--parallel", 4, "--timeout", 2, output=model)
    assert contents(tmp_path / "flaky").keys() == contents(tmp_path / "good").keys()
    for name in ("train.en", "train.de", "removed.jsonl"):
        assert (tmp_path / "flaky" / name).read_bytes() == (tmp_path / "good" / name).read_bytes()
    requests = endpoint.requests()
    assert {request["fault"] for request in requests} == {"", "429", "500", "silence", "close", "busy"}
    assert 1 < max(request["active"] for request in requests if request["body"]["model"] == "good") <= 4


@pytest.fixture
def reverse(tmp_path: Path) -> Path:
    """A model that claims to translate from German to English."""
    folder = shutil.copytree(MODEL, tmp_path / "de-en")
    recipe = (folder / "recipe.yaml").read_text("utf-8")
    recipe = recipe.replace("source: en\n  target: de", "source: de\n  target: en")
    (folder / "recipe.yaml").write_text(recipe, "utf-8")
    return folder


@pytest.mark.slow
def test_the_reverse_model_chooses_and_filters(
    distill: RunNmt, endpoint: Endpoint, text: Path, reverse: Path, tmp_path: Path
) -> None:
    distill("good", "--reverse", reverse, "--beam-size", 3, "--drop-worst", 0.5, languages=False)
    assert endpoint.requests()[0]["body"].items() >= {"n": 3, "temperature": 1.0, "seed": 1}.items()
    scorer = nmt.load(reverse, "cpu")
    lines = [line for line in lines_of(text) if line]
    candidates = nmt.load(MODEL, "cpu").translate(lines, 3, beam_size=3, max_length=8)
    kept = dict(zip(*(lines_of(tmp_path / "made" / f"train.{end}") for end in ("en", "de")), strict=True))
    scores = list(map(float, lines_of(tmp_path / "made" / "train.scores")))
    removed = [json.loads(line) for line in lines_of(tmp_path / "made" / "removed.jsonl")]
    assert min(scores) >= max(each["score"] for each in removed if "score" in each["filters"])
    assert sum("score" in each["filters"] for each in removed) == (NUM_LINES - 1) // 2
    num_other = 0
    for found in candidates:
        texts = [" ".join(candidate.text.split()) for candidate in found.n_best]
        mean = [p.log_probability / len(p.tokens) for p in scorer.score((each, found.source) for each in texts)]  # type: ignore[operator]
        if found.source in kept:
            assert kept[found.source] == texts[mean.index(max(mean))]
            num_other += kept[found.source] != texts[0]
    assert num_other


@pytest.mark.slow
def test_samples_of_servers_that_give_one_choice(distill: RunNmt, endpoint: Endpoint) -> None:
    distill("single", "--beam-size", 3)
    assert sorted(request["body"]["seed"] for request in endpoint.requests()) == sorted([1, 2, 3] * (NUM_LINES - 1))


@pytest.mark.slow
def test_answers_become_lines(distill: RunNmt, tmp_path: Path) -> None:
    for kind in ("wordy", "late"):
        distill(kind, output=kind)
        assert all(line.endswith(" und so") and "Hmm" not in line for line in lines_of(tmp_path / kind / "train.de"))
    for kind in ("cut", "filter", "endless"):
        assert "most of them by 'empty'" in distill(kind, output=kind, code=2).stderr


@pytest.mark.slow
def test_a_prompt_of_ones_own(distill: RunNmt, endpoint: Endpoint, text: Path, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt"
    prompt.write_text("{source} > {target}\n\n{text}", "utf-8")
    distill("good", "--prompt", prompt)
    sent = {request["body"]["messages"][0]["content"] for request in endpoint.requests()}
    assert sent == {f"English > German\n\n{line}\n" for line in lines_of(text) if line}


@pytest.mark.slow
def test_the_budget_ends_a_run_that_can_be_resumed(
    distill: RunNmt, endpoint: Endpoint, reverse: Path, tmp_path: Path
) -> None:
    stopped = distill("good", "--parallel", 1, "--budget", 100, code=2)
    assert "The budget of 100 tokens is used up: 100 were needed so far" in stopped.stderr
    assert len(endpoint.requests()) == 10
    assert not (tmp_path / "made").exists()
    refused(
        distill("good", "--reverse", reverse, "--resume", code=2), "line 1 is not of this text, model, prompt, reverse"
    )
    distill("good", "--parallel", 1, "--budget", 110, "--resume", code=2)
    assert len(endpoint.requests()) == 11
    distill("good", "--parallel", 1, "--resume")
    assert len(endpoint.requests()) == NUM_LINES - 1


@pytest.mark.slow
def test_a_line_that_the_server_refuses_is_named_and_can_be_emptied(
    run_nmt: RunNmt, endpoint: Endpoint, tmp_path: Path
) -> None:
    text, long = tmp_path / "text.en", "A sentence of this length is refused by the server, and it alone is named."
    teacher = ("--teacher", endpoint.url, "--model", "strict", "--languages", "en,de", "-o", tmp_path / "made")
    for lines, code in ((["A dog.", "A cat.", long, "A cow."], 2), (["A dog.", "A cat.", "", "A cow."], 0)):
        text.write_text("\n".join(lines), "utf-8")
        done = run_nmt("distill", text, *teacher, "--resume")
        assert done.returncode == code, done.stderr
        assert (f"gave no translation of '{long[:20]}" in done.stderr) == (code == 2)
    assert lines_of(tmp_path / "made" / "train.en") == ["A dog.", "A cat.", "A cow."]


@pytest.mark.parametrize("key", ["Schlüssel", "sk-1\nsk-2"])
def test_a_key_that_no_header_can_have_is_reported(distill: RunNmt, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr("nmt.extensions.synthesis.teacher.MAX_RETRIES", 0)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    refused(done := distill("good", code=2), "OPENAI_API_KEY has characters that are no part of a key")
    assert "sk-1" not in done.stderr


def test_a_missing_client_is_reported(distill: RunNmt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert 'pip install "nmt[teacher]"' in " ".join(distill("good", code=2).stderr.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("html", "answered with status 200, but not with a chat completion: '<html>Welcome</html>'"),
        ("choices", "answered with status 200, but not with a chat completion"),
        ("unknown", 'after 1 attempts: status 404: {"error": {"message": "no such model"}}'),
        ("broken", "after 3 attempts: status 503: overloaded"),
    ],
)
def test_an_endpoint_that_fails_gives_one_message(
    distill: RunNmt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, message: str
) -> None:
    monkeypatch.setattr("nmt.extensions.synthesis.teacher.MAX_RETRIES", 2)
    done = distill(model, code=2)
    refused(done, message)
    assert done.stderr.count("Error") == 1
    assert not list(tmp_path.iterdir())


def test_a_password_is_not_written(run_nmt: RunNmt, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.extensions.synthesis.cli._write_pairs", write := Mock())
    teacher = ("--teacher", "https://u:p@ss@host:1/v1", "--model", "m", "--languages", "en,de")
    run_nmt("distill", text, *teacher, "-o", "made", check=True)
    job, synthesis, *_ = write.call_args.args
    assert synthesis.settings["teacher"] == "https://host:1/v1"
    assert job.teacher.options.teacher == teacher[1], "it is sent"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--teacher", "http://u:pass@127.0.0.1:9/v1", "--model", "m", "--languages", "en,de"], "after 1 attempts"),
        (["--teacher", "http://u:pass/word@x", "--model", "m", "--languages", "en,de"], "is not a URL"),
        (["--teacher", "localhost", "--model", "m", "--languages", "en,de"], "is not a URL"),
        (["--teacher", "http://localhost:99999", "--model", "m", "--languages", "en,de"], "is not a URL"),
        (["--teacher", "http://x", "--languages", "en,de"], "--teacher needs the name of a model"),
        (["--teacher", "http://x", "--model", "m"], "--languages must be those of source and target"),
        (["--teacher", "http://x", "--model", "m", "--languages", "en,d/e"], "--languages must be those of source and"),
        (["--teacher", "http://x", "--model", "m", "--languages", "en,de", "--alpha", 1], "--alpha has no effect"),
        (["--teacher", "http://x", "--model", "m", "--languages", "en,de", "--min-score", -1], "--drop-worst need a"),
        (["--teacher", "http://x", "--model", "m", "--languages", "en,de", "--drop-worst", 0.2], "--drop-worst need a"),
        (["--teacher", "http://x", "--model", "m", "--languages", "de,en"], "mono.en seems to be en"),
        ([], "SOURCE is missing"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    run_nmt: RunNmt, text: Path, tmp_path: Path, arguments: list[object], message: str
) -> None:
    refused(done := run_nmt("distill", text, *arguments, "-o", tmp_path / "made"), message)
    assert "pass" not in done.stderr
    assert not list(tmp_path.iterdir())
