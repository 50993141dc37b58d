"""The runtime translates without PyTorch, and is one file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_types import BuildOnce

from nmt.extensions.interchange.onnx import export_onnx
from nmt.translation.load import load

pytest.importorskip("onnxruntime", reason="needs onnxruntime")
pytest.importorskip("onnxscript", reason="needs onnxscript")
pytestmark = pytest.mark.slow  # an export to ONNX takes long; its networks and the search have tests of their own


@pytest.fixture
def folder(ssru_model: Path, build_once: BuildOnce) -> Path:
    """The ONNX export of ``ssru_model``. Read only."""
    return build_once("onnx_folder", lambda path: export_onnx(load(ssru_model, "cpu"), path))


def test_the_file_in_the_folder_translates_without_torch_and_nmt(
    folder: Path, ssru_model: Path, tiny_corpus: Path
) -> None:
    text = (tiny_corpus / "val.de").read_text("utf-8") + "\n  Der  Hu\ufeffnd\u2028schl\u00adäft.\n"
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr))\n"
        f"sys.argv = ['translate.py', '--beam-size', '2']\nrunpy.run_path({str(folder / 'translate.py')!r}, "
        "run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, encoding="utf-8", check=True, cwd=folder
    )
    assert {"torch", "nmt", "transformers"} & set(done.stderr.split()) == set()
    assert "onnxruntime" in done.stderr.split()
    lines = text.removesuffix("\n").split("\n")
    expected = [translation.text for translation in load(ssru_model, "cpu").translate(lines, beam_size=2)]
    assert done.stdout.removesuffix("\n").split("\n") == expected


@pytest.mark.posix
def test_a_reader_that_ends_early_leaves_no_traceback(folder: Path) -> None:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, folder / "translate.py"], text=True, **pipes) as running:
        running.stdout.close()
        _, errors = running.communicate("Der Hund sieht den Mond.\n")
    assert (running.returncode, errors) == (141, "")


def test_wrong_input_ends_with_a_message(folder: Path, tmp_path: Path) -> None:
    from nmt.extensions.interchange.runtime.translate import FolderError, load

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
    with pytest.raises(FolderError, match="unknown option beams"):
        load(folder).translate(["a"], beams=3)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"version": 0}), "utf-8")
    with pytest.raises(FolderError, match="not an ONNX folder of this version"):
        load(tmp_path)
