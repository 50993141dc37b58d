"""The runtime translates without PyTorch and nmt."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_types import BuildOnce, RunNmt, TrainTiny

from nmt.extensions.interchange import runtime
from nmt.extensions.interchange.onnx import export_onnx
from nmt.translation.load import load
from tests.extensions.interchange.conftest import SSRU

pytest.importorskip("onnxruntime", reason="needs onnxruntime")
pytest.importorskip("onnxscript", reason="needs onnxscript")
pytestmark = pytest.mark.slow  # an export to ONNX takes long; its networks and the search have tests of their own
MAN, DOG = "Der Mann sieht den Hund.", "Der Hund schläft."
LINES = [
    f"{MAN} {DOG}", "", "!!!", f"  <2fr> {DOG} 🙂 {MAN}\t<2en>{MAN} {DOG} …", " ", "😀 …", DOG, f"<2xx> {MAN} {DOG}",
    "  Der  Hu\ufeffnd\u2028schl\u00adäft.",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(train_tiny: TrainTiny, tiny_corpus: Path) -> Path:
    """A model with tags that translates sentence by sentence. Read only.

    Below a ``character_coverage`` of 1 nmt gives it unseen characters, as the folder does.
    """
    files = {"source": str(tiny_corpus / "train.de"), "target": str(tiny_corpus / "train.en")}
    corpora = [{"name": tag, "tag": tag, **files} for tag in ("<2en>", "<2fr>")]
    options = (f"data.corpora={json.dumps(corpora)}", "vocabulary.character_coverage=0.9999")
    return train_tiny(*SSRU, *options, "decoding.split_sentences=true", shared="divided")


@pytest.fixture
def folder(model: Path, build_once: BuildOnce) -> Path:
    """The ONNX export of ``model``. Read only."""
    return build_once("onnx_folder", lambda path: export_onnx(load(model, "cpu"), path))


def translated(folder: Path, scratch: Path, *options: str, without: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs ``translate.py`` of a folder with some options, where nmt, PyTorch and perhaps another are missing."""
    for name in filter(None, ("nmt", "torch", without)):
        (scratch / f"{name}.py").write_text(f"raise ImportError('No module named {name}')", "utf-8")
    return subprocess.run(
        [sys.executable, folder / "translate.py", *options],
        input="".join(f"{line}\n" for line in LINES),
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONPATH": str(scratch)},
    )


@pytest.mark.parametrize("options", [(), ("--no-split-sentences", "--beam-size", "2")])
def test_the_folder_translates_as_nmt_does_without_torch_and_nmt(
    folder: Path, model: Path, tmp_path: Path, run_nmt: RunNmt, options: tuple[str, ...]
) -> None:
    done = translated(folder, tmp_path, *options)
    assert (done.returncode, done.stderr) == (0, "")
    expected = run_nmt("translate", model, "--no-restore-case", *options, stdin="".join(f"{line}\n" for line in LINES))
    assert done.stdout == expected.stdout
    found = dict(zip(LINES, done.stdout.split("\n"), strict=False))
    assert (found["!!!"] == "!!!") == (not options)
    assert found[LINES[0]].endswith(f" {found[DOG]}") == (not options), "it would be no test"


def test_without_sentencex_lines_stay_whole_and_a_message_says_so(folder: Path, tmp_path: Path) -> None:
    done = translated(folder, tmp_path, without="sentencex")
    message = "error: No module named sentencex: pip install sentencex, or give --no-split-sentences\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert translated(folder, tmp_path, "--no-split-sentences", without="sentencex").returncode == 0


def test_a_folder_of_an_older_version_is_not_divided(folder: Path, tmp_path: Path) -> None:
    older = shutil.copytree(folder, tmp_path / "older")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config["decoding"]["split_sentences"]
    (older / "config.json").write_text(json.dumps(config), "utf-8")
    whole = runtime.load(folder).translate(LINES, split_sentences=False)
    assert runtime.load(older).translate(LINES) == whole != runtime.load(folder).translate(LINES)


@pytest.mark.posix
def test_a_reader_that_ends_early_leaves_no_traceback(folder: Path) -> None:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, folder / "translate.py"], text=True, **pipes) as running:
        running.stdout.close()
        _, errors = running.communicate("Der Hund sieht den Mond.\n")
    assert (running.returncode, errors) == (141, "")


def test_wrong_input_ends_with_a_message(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nmt.extensions.interchange.runtime"]
    done = subprocess.run([*command, str(tmp_path)], input="a\n", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path} can't be loaded")
    done = subprocess.run(
        [*command, str(folder), "--beam-size", "0"], input="a\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be 1 or more" in done.stderr
    other = subprocess.run([*command, str(folder)], input=b"a \xff\n", capture_output=True, check=False)
    assert (other.returncode, other.stderr[:21]) == (2, b"error: 'utf-8' codec ")
    with pytest.raises(runtime.FolderError, match="unknown option beams"):
        runtime.load(folder).translate(["a"], beams=3)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"version": 0}), "utf-8")
    with pytest.raises(runtime.FolderError, match="not an ONNX folder of this version"):
        runtime.load(tmp_path)
