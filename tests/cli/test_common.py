"""Shell completion: its script, and the names of commands, options, values and recipes."""

import subprocess
from collections.abc import Callable

import pytest

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("nmt learn-a", ["learn-alignment"]),
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell: str, run_nmt: RunNmt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = run_nmt("--show-completion", shell)
    assert done.returncode == 0
    assert f"complete_{shell}" in done.stdout
