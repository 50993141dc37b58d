"""User errors at the command line: one message with its remedy, exit code 2, no traceback, and no output.

The messages themselves are tested beside the code that raises them; here are one or two errors of each kind.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.core.limits import LIMITS


@pytest.mark.parametrize("command", [["train"], ["recipes"], ["translate"], ["recipes", "--keys"], ["inspect", "run"]])
def test_name_of_100_000_characters(run_nmt: RunNmt, command: list[str]) -> None:
    done = run_nmt(*command, "x" * 100_000)
    refused(done, "xxx")
    assert len(done.stderr) < 9000


def test_output_below_a_file(run_nmt: RunNmt, tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        refused(run_nmt("train", tiny_recipe, "-o", output), str(output), "-o")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_standard_streams(python: Path, tmp_path: Path) -> None:
    """The command has opened no file whose name a message could give; messages that can't be written are lost."""
    (tmp_path / "a").write_text("a b\n")
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}  # what is left is written when Python ends
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "nmt", "recipes"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=buffered)
        assert done.returncode == 2
        assert done.stderr.startswith("Error: The output can't be written: no space left on device.\nFree"), done.stderr
        assert "Exception" not in done.stderr
        for arguments, code in ((["score", "a", "missing"], 2), (["score", "a", "a"], 0)):
            command = [python, "-m", "nmt", *arguments]
            silent = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=full)
            assert (silent.returncode, bool(silent.stdout)) == (code, code == 0)


def test_no_model_directory(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(run_nmt("translate", tmp_path / "nowhere"), "no such folder", "nmt train")
    refused(run_nmt("translate", tmp_path), "no recipe.yaml", "nmt train")
    refused(run_nmt("translate", tmp_path / "file"), "it is a file", "nmt train")
    for near in (tiny_model.parent, tiny_model / "checkpoints", tiny_model / "model.safetensors"):
        refused(run_nmt("translate", near), f"{near} is not a model directory", f"Did you mean {tiny_model}?")
    for file, remedy in (("config.json", "Name the model that was exported"), (".lock", "until its text is prepared")):
        (tmp_path / file).touch()
        refused(run_nmt("translate", tmp_path), "no recipe.yaml", remedy)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("model.safetensors", None, "model.safetensors"),
        ("model.safetensors", b"\xff" * 99, "model.safetensors"),
        ("vocabulary.source.txt", None, "vocabulary"),
    ],
)
def test_damaged_model_directory(
    run_nmt: RunNmt, own_model: Path, file: str, content: bytes | None, expected: str
) -> None:
    (own_model / file).unlink()
    if content is not None:
        (own_model / file).write_bytes(content)
    refused(run_nmt("translate", own_model, stdin="Der Hund.\n"), expected)


def test_weights_of_another_model(
    run_nmt: RunNmt, own_model: Path, bytes_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(bytes_model / "model.safetensors", own_model / "model.safetensors")
    refused(run_nmt("translate", own_model, stdin="Der Hund.\n"), str(own_model / "model.safetensors"))
    text = (own_model / "recipe.yaml").read_text("utf-8")
    (own_model / "recipe.yaml").write_text(text.replace("hidden_size: 32", "hidden_size: 4000"), "utf-8")
    monkeypatch.delattr("nmt.models.build.build")  # it is noticed before memory is taken
    refused(run_nmt("translate", own_model), "model.safetensors holds the weights of another model", "parameters")


TOO_LONG = f"long, line 2: longer than {LIMITS['NMT_MAX_LINE_BYTES']:,} bytes."
TOO_WIDE = "Pair 2 has 16,000 and 16,000 words: too many to align."
needs_lexicon = pytest.mark.extension("lexicon")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("translate MODEL -i vla.de", ["File not found: vla.de", "val.de?"]),
        ("translate MODEL -i val.de -o no/out.en", ["no folder", "mkdir"]),
        ("translate MODEL -i val.de --score-only val.de val.de", ["--input"]),
        ("translate MODEL -i long -o links", [TOO_LONG]),
        ("align VANILLA val.de val.en", ["no attention", "multi30k/bahdanau"]),
        ("align MODEL val.de --format png", ["-o links.png"]),
        ("align MODEL val.de --tokenized", ["TARGET"]),
        ("align MODEL val.de val.en -o no/links.png", ["folder"]),
        (f"align m a b --limit {'1' * 30}", ["--limit 1111", "too large"]),
        ("align MODEL long long", [TOO_LONG]),
        ("align MODEL wide wide -o links", [TOO_WIDE]),
        pytest.param("learn-alignment MODEL long long", [TOO_LONG], marks=needs_lexicon),
        pytest.param("learn-alignment MODEL wide wide", [TOO_WIDE], marks=needs_lexicon),
        ("score val.de train.en", ["val.de has 8", "train.en has 40"]),
        ("score empty empty", ["empty"]),
        ("score long long", [TOO_LONG]),
        ("aer bad good", ["bad, line 2", "'1:1'"]),
        ("aer long long", [TOO_LONG]),
    ],
)
def test_wrong_input(
    run_nmt: RunNmt, tiny_model: Path, vanilla_model: Path, tiny_corpus: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, command: str, expected: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(shutil.copytree(tiny_corpus, tmp_path / "corpus"))
    files = {
        "empty": "",
        "good": "0-0\n1-1\n",
        "bad": "0-0\n1:1\n",
        "long": "0-0\n" + "a " * (LIMITS["NMT_MAX_LINE_BYTES"] // 2) + "b\n",
        "wide": "a b\n" + "a " * 16_000 + "\n",
    }
    for name, content in files.items():
        Path(name).write_text(content)
    models = {"MODEL": tiny_model, "VANILLA": vanilla_model}
    refused(run_nmt(*(models.get(word, word) for word in command.split())), *expected)
    assert not Path("links").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["translate"], "MODEL_DIR"), (["translate", "m", "--beem-size", "3"], "--beem-size"), (["trian"], "trian")],
)
def test_wrong_usage(run_nmt: RunNmt, arguments: list[str], expected: str) -> None:
    refused(run_nmt(*arguments), expected)
