"""``nmt translate`` as a stream, in a conversation, and after a stop."""

import json
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

SENTENCES = ["Der Hund schläft im Garten.", "Heute trinkt die Katze kaltes Wasser.", "Mein Bruder wartet auf den Zug."]
TRANSLATIONS = ["The dog sleeps in the garden.", "Today the cat drinks cold water.", "My brother waits for the train."]


@pytest.mark.parametrize("options", [[], ["--format", "jsonl"]])
def test_a_program_that_waits_for_its_answer_gets_it(python: Path, tiny_model: Path, options: list[str]) -> None:
    command = [python, "-m", "nmt", "translate", tiny_model, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for source, translation in zip(SENTENCES, TRANSLATIONS, strict=True):
            process.stdin.write(f"{source}\n\n".encode())
            process.stdin.flush()
            lines = [process.stdout.readline().decode().rstrip("\n") for _ in range(2)]
            if options:
                lines = [json.loads(line)["translation"] for line in lines]
            assert lines == [translation, ""]
        process.stdin.close()
        assert process.stdout.read() == process.stderr.read() == b""
    assert process.returncode == 0


def test_a_conversation(run_nmt: RunNmt, tiny_model: Path) -> None:
    done = run_nmt("translate", tiny_model, "--interactive", stdin="\n".join([SENTENCES[0], "", *SENTENCES[1:]]) + "\n")
    assert done.returncode == 0
    assert done.stdout == "".join(f"en> {translation}\n" for translation in TRANSLATIONS)
    assert done.stderr == "de> " * 5 + "\n"


# stopped and taken up


@pytest.fixture
def whole(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path) -> list[str]:
    return run_nmt("translate", tiny_model, "-i", tiny_corpus / "train.de").stdout.splitlines()


@pytest.mark.quick("SIGKILL")
@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_stopped_run_goes_on(
    run_nmt: RunNmt, python: Path, tiny_model: Path, tiny_corpus: Path, tmp_path: Path, whole: list[str], name: str
) -> None:
    how = signal.Signals[name]
    output, partial = tmp_path / "out put.en", tmp_path / "out put.en.partial"
    arguments = ["translate", tiny_model, "-o", output]
    with subprocess.Popen([python, "-m", "nmt", *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("".join((tiny_corpus / "train.de").read_text("utf-8").splitlines(True)[:3]).encode())
        process.stdin.flush()
        while not (partial.exists() and partial.read_bytes().count(b"\n") == 3):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1 if how == signal.SIGKILL else how)
        messages = process.stderr.read().decode()
    assert process.returncode in (130, -how)
    assert not output.exists()
    assert partial.read_text("utf-8").splitlines() == whole[:3]
    if how == signal.SIGINT:
        assert f"3 lines are kept in {partial}" in messages
        assert shlex.join(["nmt", *map(str, arguments), "--resume"]) in messages
    done = run_nmt(*arguments, "--resume", stdin=(tiny_corpus / "train.de").read_text("utf-8"))
    assert done.returncode == 0, done.stderr
    assert f"3 lines are in {partial} already" in done.stderr
    assert output.read_text("utf-8").splitlines() == whole
    assert not partial.exists()


def test_bad_input_keeps_what_came_before_it(
    run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path, tmp_path: Path, whole: list[str]
) -> None:
    lines = (tiny_corpus / "train.de").read_bytes().splitlines(keepends=True)
    source, output, partial = tmp_path / "in.de", tmp_path / "out.en", tmp_path / "out.en.partial"
    source.write_bytes(b"".join([*lines[:7], b"B\xe4cker\n", *lines[8:]]))
    command = ["translate", tiny_model, "-i", source, "-o", output]
    done = run_nmt(*command)
    assert done.returncode == 2
    assert f"{source}, line 8: not UTF-8" in done.stderr
    assert f"7 lines are kept in {partial}" in done.stderr
    refused(run_nmt(*command), "Give --resume to continue")
    source.write_bytes(b"".join(lines))
    assert run_nmt(*command, "--resume").returncode == 0
    assert output.read_text("utf-8").splitlines() == whole


@pytest.mark.quick("options0")
@pytest.mark.parametrize("options", [["--format", "jsonl", "--n-best", "2"], ["--scores"]])
def test_figures_and_formats_are_resumed(
    run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path, tmp_path: Path, options: list[str]
) -> None:
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    command = ["translate", tiny_model, "-i", tiny_corpus / "val.de", *options]
    whole = run_nmt(*command).stdout
    partial.write_text("".join(whole.splitlines(keepends=True)[:5]) + "half a li", encoding="utf-8")
    assert run_nmt(*command, "-o", output, "--resume").returncode == 0
    assert output.read_text("utf-8") == whole


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (["Something else.", "Quite different.", "Not a translation."], "comes from another job: line 1 is 'Something"),
        ([""] * 50, "has more lines than the input, which ends at 40"),
    ],
)
def test_work_of_another_job_is_not_gone_on_with(
    run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path, tmp_path: Path, kept: list[str], message: str
) -> None:
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    partial.write_text("".join(f"{line}\n" for line in kept))
    refused(run_nmt("translate", tiny_model, "-i", tiny_corpus / "train.de", "-o", output, "--resume"), message)
    assert partial.read_text().splitlines() == kept
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--resume"], "-o"),
        (["--interactive", "-i", "x"], "--interactive"),
        (["--interactive", "-o", "x"], "--interactive"),
        (["--score-only", "a", "b", "--resume"], "--score-only"),
    ],
)
def test_what_does_not_go_together(run_nmt: RunNmt, tiny_model: Path, options: list[str], expected: str) -> None:
    refused(run_nmt("translate", tiny_model, *options, stdin="Hund\n"), expected)
