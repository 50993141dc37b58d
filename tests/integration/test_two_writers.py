"""Two processes that write into one place: the second is refused, and what the first writes is whole."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fixture_types import RunNmt, TrainTiny
from refusals import refused

pytestmark = pytest.mark.posix

HOLD = """
import sys
from nmt.core.model_directory import ModelDirectory
with ModelDirectory(sys.argv[1]).writing():
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(python: Path, *command: object) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [python, *map(str, command)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def run(train_tiny: TrainTiny) -> Path:
    """Don't write into it."""
    return train_tiny("training.max_steps=4", "training.checkpoint_every=2", "training.metric=loss")


def content(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("command", ["train", pytest.param("learn-alignment", marks=pytest.mark.extension("lexicon"))])
def test_a_model_directory_has_one_writer(
    command: str, run: Path, run_nmt: RunNmt, python: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(run, directory)
    before = content(directory)
    arguments: dict[str, list[object]] = {
        "train": [run / "recipe.yaml", "-o", directory, "--resume", "--set", "training.max_steps=5"],
        "learn-alignment": [directory, tiny_corpus / "val.de", tiny_corpus / "val.en"],
    }
    with another_process(python, "-c", HOLD, directory) as holder:
        assert holder.stdout.readline() == "ready\n"
        refused(run_nmt(command, *arguments[command]), "run is being written by another process.")
        assert content(directory) == before
    assert run_nmt(command, *arguments[command]).returncode == 0
    assert content(directory) != before


def test_a_translation_has_one_writer(tiny_model: Path, run_nmt: RunNmt, python: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with another_process(python, "-m", "nmt", "translate", tiny_model, "-o", output) as first:
        first.stdin.write("Der Hund schläft.\n")
        first.stdin.flush()
        while not output.with_name("out.partial").exists():
            assert first.poll() is None
        for option in ([], ["--resume"]):
            done = run_nmt("translate", tiny_model, "-o", output, *option, stdin="Die Katze schläft.\n")
            refused(done, "is being written by another process")
        first.communicate()
        assert first.returncode == 0
    assert output.read_text("utf-8").count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["out"]
