"""What all commands share: shell completion, messages about errors of the system, and standard streams."""

import errno
import io
import os
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.__main__ import _prepare_standard_streams
from nmt.cli.common import command_to_resume


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("nmt learn-a", ["learn-alignment"], marks=pytest.mark.extension("lexicon")),
        ("nmt translate --length-p", ["--length-penalty"]),
        ("nmt translate runs/de-en --search ", ["beam", "sample"]),
        ("nmt train multi30k/transformer_g", ["multi30k/transformer_guided"]),
        ("nmt recipes algorithmic/par", ["algorithmic/parity"]),
        ("nmt train mine", []),
    ],
)
def test_a_shell_completes(words: str, expected: list[str], run_nmt: RunNmt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_NMT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert run_nmt().stdout.split() == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "nmt has no command 'trian'.\nDid you mean 'train'?"),
        ("inspect runs", "nmt inspect has no command 'runs'.\nDid you mean 'run'?"),
        ("evaluate", "nmt has no command 'evaluate'.\n`nmt --help` lists its commands."),
    ],
)
def test_a_misspelt_command_suggests_the_nearest(words: str, message: str, run_nmt: RunNmt) -> None:
    done = run_nmt(*words.split())
    assert (done.returncode, done.stderr) == (2, f"Error: {message}\n")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "The output can't be written: no space left"),
        (errno.EFBIG, "The output can't be written: file too large"),
        (errno.EMFILE, "The system allows no more open files"),
        (errno.ELOOP, "The output can't be written: too many levels"),
    ],
)
def test_errors_of_the_system_have_a_message_and_an_exit_code(
    run_nmt: RunNmt, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    monkeypatch.setattr("nmt.cli.app", Mock(side_effect=OSError(number, os.strerror(number))))
    refused(run_nmt(), message)


@pytest.mark.parametrize("given", [["translate", "my model"], ["translate", "--resume", "my model"]])
def test_the_command_that_resumes_can_be_given_to_a_shell(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["nmt", *given])
    assert command_to_resume() == "nmt translate 'my model' --resume"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert command_to_resume() == "torchrun … -m nmt translate 'my model' --resume"
    monkeypatch.setattr("nmt.core.console.os", SimpleNamespace(name="nt"))
    monkeypatch.setattr("sys.argv", [*sys.argv, r"runs\de-en"])
    assert command_to_resume().endswith(r' "my model" runs\de-en --resume')


@pytest.mark.extension("editors")
def test_output_that_is_no_terminal_is_utf_8_whatever_the_locale() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": os.pathsep.join(sys.path)}
    for argument, shown in (("--keys", "τ"), ("模型", "模型")):
        command = [sys.executable, "-m", "nmt", "recipes", argument]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)
        assert shown in done.stdout + done.stderr


def test_output_keeps_how_it_handles_what_is_not_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.TextIOWrapper(io.BytesIO(), "ascii", "surrogateescape")  # as in the C locale
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", Mock(isatty=lambda: True))
    _prepare_standard_streams()
    assert (output.encoding, output.errors) == ("utf-8", "surrogateescape")


def test_messages_to_a_terminal_pass_through_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Mock(isatty=lambda: True, fileno=lambda: 2, encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stderr", terminal)
    _prepare_standard_streams()
    assert sys.stderr is terminal, "bytes to the file descriptor of a console of Windows aren't read as UTF-8"
