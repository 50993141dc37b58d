"""The code of the documentation runs on small data, block by block in one folder, as a reader of a page runs it.

A reader has text, such as ``train.de``, and the models of :data:`BEGINS_WITH`. Everything else comes from the blocks
before. A Python block is written to a file if the text above it says so (Write `NAME.py`); the others continue one
session. :data:`documentation.NOT_RUN` lists the commands that are not run, and :data:`OTHER_BLOCKS` the blocks that are
no programs, each with the reason.
"""

import gzip
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from documentation import PAGES, ROOT, Code, is_run, steps

import nmt

pytestmark = pytest.mark.extension  # the pages describe all extensions
Models = Mapping[str, Path]
BEGINS_WITH = {
    "README.md": "quickstart/model",  # made by .venv/bin/nmt quickstart, which is not run
    "docs/how-to/": "runs/de-en",  # a reader who wants to do something with a model has one
    "docs/reference/command-line": "runs/de-en",
    "docs/concepts/language-models": "runs/de-en runs/en-de",  # compared with the language model
    "docs/concepts/recurrent": "runs/rnn runs/lstm",  # trained in docs/tutorials/attention-for-a-lecture.md
    "docs/how-to/align": "runs/en-de",
    "docs/how-to/inspect-sentence": "runs/transformer runs/luong runs/vanilla",
    "docs/how-to/serve": "runs/en-fr",
    "docs/how-to/watch-training": "runs/luong runs/bahdanau",
    "docs/how-to/words": "runs/words",
    "docs/lab-notes/2026-11-24-mafand": "runs/news",
    "docs/tutorials/low-resource": "runs/general",  # of much text that isn't the reader's
}
"""Model directories that are there before the first block, by the beginning of a page's name."""
OTHER_BLOCKS = {
    "yaml": "recipes and filters, which test_docs.py checks",
    "text": "output",
    "json": "a job of Kubernetes",
    "powershell": "commands of Windows",
    "bash": "a job of Slurm",
    "ini": "a service of systemd",
    "toml": "the entry points of a package; test_plugins.py installs one",
    "py": "a program for transformers, whose model must be downloaded; see test_huggingface.py",
}
"""Languages of blocks that are not run, and why."""
CHECKLIST = "docs/reference/release.md"
"""Its indented blocks are the steps of a release."""


def test_every_block_is_run_or_has_a_reason() -> None:
    for page in PAGES:
        languages = re.findall(r"^( *)```(\w*)\n.*?^ *```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
        for indentation, language in languages:
            assert language in {"sh", "console", "python", *OTHER_BLOCKS}, page
            assert not indentation or page == CHECKLIST, page
    assert sum(len(steps(page)) for page in PAGES) > 100
    assert [start for start in BEGINS_WITH if not any(page.startswith(start) for page in PAGES)] == []


@pytest.fixture(scope="session")
def programs(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nmt, python and curl, which run on a small scale: see ``documented_program.py``."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("nmt", "python", "curl"):
        program = shlex.join(["exec", str(python), str(ROOT / "tests" / "support" / "documented_program.py"), name])
        (folder / name).write_text(f'#!/bin/sh\n{program} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


SMALL_TRANSFORMER = {
    "model.embedding_size": 8, "model.encoder.feed_forward_size": 16, "model.decoder.feed_forward_size": 16,
    "vocabulary.size": 100, "training.max_steps": 5, "training.max_epochs": None, "training.batch_tokens": 256,
    "training.validate_every": 1, "training.validation_size": 1, "training.keep_last": 5, "training.keep_best": 5,
    "decoding.max_length": 20, "training.precision": "fp32",
}  # fmt: skip
NUM_LINES = 12


@pytest.fixture(scope="session")
def models(train_tiny: Callable[..., Path], tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The model directories that pages take for granted, by a pattern of their names."""
    folder = tmp_path_factory.mktemp("models")
    overrides = SMALL_TRANSFORMER | {"data.root": str(tiny_corpus)}
    ntm = "{type: ntm, hidden_size: 16, slot_size: 8}"
    files = {language: tiny_corpus / f"train.{language}" for language in ("de", "en")}
    corpora = [
        f"{{name: {tag}, source: {files[source]}, target: {files[target]}, tag: <2{tag}>}}"
        for tag, source, target in (("en", "de", "en"), ("sw", "en", "de"))
    ]
    valid = f"data.valid={{source: {tiny_corpus}/val.de, target: {tiny_corpus}/val.en}}"
    tagged = f"data.corpora=[{', '.join(corpora)}]", valid, "data.root=null", "vocabulary.joint=true"
    return {
        "news": train_tiny(*tagged, "training.max_steps=1", shared="docs_news"),  # of both directions
        "ntm": train_tiny("training.max_steps=1", f"model.encoder={ntm}", f"model.decoder={ntm}", shared="docs_ntm"),
        "words|rnn|lstm": train_tiny("training.max_steps=1", shared="docs_words"),
        "": nmt.train("multi30k/transformer", folder / "transformer", overrides=overrides),
    }


def put_in_place(name: str, corpus: Path, models: Models, known: Collection[str]) -> None:
    """Make the file or the model directory that a block reads, unless it is there.

    Args:
        known: the model directories that the page begins with.
    """
    path = Path(name)
    is_model = path.parts[:1] == ("runs",) or name == "quickstart/model"
    if path.exists() or ("/" not in name and not path.suffix) or (is_model and name not in known):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_model:
        shutil.copytree(next(model for pattern, model in models.items() if re.search(pattern, name)), path)
        if languages := re.fullmatch(r"(\w\w)-(\w\w)", path.name):
            recipe = (path / "recipe.yaml").read_text("utf-8")
            for key, language in zip(("source", "target"), languages.groups(), strict=True):
                recipe = re.sub(rf"(?m)^  {key}: (de|en)$", f"  {key}: {language}", recipe)
            (path / "recipe.yaml").write_text(recipe, "utf-8")
    elif path.suffix in (".de", ".en", ".fr", ".fi", ".et", ".sw", ".prompt", ".response"):
        side = "de" if path.suffix in (".de", ".fi", ".prompt") else "en"
        lines = (corpus / f"train.{side}").read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines if path.stem in ("train", "texts") else lines[:NUM_LINES]))
    elif path.suffix in (".pharaoh", ".links", ".sure", ".possible"):
        path.write_text("0-0\n" * NUM_LINES)
    elif path.suffix == ".model":
        shutil.copyfile(models[""] / "vocabulary.model", path)
    elif "300" in path.name:  # word vectors
        with (gzip.open if path.suffix == ".gz" else open)(path, "wt") as file:
            file.writelines(f"{word}{' 0.1' * 300}\n" for word in ("Hund", "dog"))
    elif name in DATA_FILES:
        path.write_text(DATA_FILES[name], encoding="utf-8")
    elif path.suffix == ".html":
        path.write_text("<p>Der <b>Hund</b> schläft.</p>", encoding="utf-8")
    elif path.suffix == ".tsv":
        path.write_text("hund\tdog\t5\n")


DATA_FILES = {
    "products.csv": "title,description\nHund,Der Hund schläft.\n", "de.json": '{"menu": {"open": "Hund"}}',
    "texts.csv": "de,en\nDer Hund schläft.,The dog sleeps.\n",
    "strings.xml": '<a><string>Hund</string><img alt="Hund"/></a>',
}  # fmt: skip
WRITTEN_BY = {"-o", "--output", "--html", ">"}


def words_of(line: str) -> list[str]:
    words = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
    words.whitespace_split = True
    return [part for word in words for part in re.split(r"[=\s,{}]+", word) if part]


QUICK = ("README.md", "docs/how-to/python.md", "docs/how-to/translate-documents.md", "docs/reference/errors.md")
"""Pages that are run by every change: of the command line and of Python."""


USES = {"ctranslate2": "ctranslate2", "nmt.extensions.interchange.runtime": "onnxruntime"}
"""Packages that Python blocks need, by what is in them."""


def runnable(page: str) -> list[Code]:
    """The steps of a page that are run here."""
    missing = [use for use, package in USES.items() if not find_spec(package)]
    return [
        step for step in steps(page)
        if (is_run(step) if step.language == "sh" else not any(use in step.text for use in missing))
    ]  # fmt: skip


def pages_with_code() -> Iterator[Any]:
    """The pages with something to run; most are marked as slow."""
    for page in PAGES:
        if runnable(page):
            yield pytest.param(page, marks=[] if page in QUICK else [pytest.mark.slow])


@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have imported PyTorch")
@pytest.mark.parametrize("page", list(pages_with_code()))
def test_a_page_runs(
    page: str, programs: Path, models: Models, tiny_corpus: Path, repo_root: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The blocks of a page from the first to the last."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name in ("tools", "examples"):
        Path(name).symlink_to(repo_root / name)
    shutil.copytree(tiny_corpus, "FOLDER")
    known = " ".join(names for start, names in BEGINS_WITH.items() if page.startswith(start)).split()
    for path in sorted(Path("FOLDER").iterdir()):
        for suffix in (path.suffix, ".prompt" if path.suffix == ".de" else ".response"):
            put_in_place(f"chat/{path.stem}{suffix}", tiny_corpus, models, known)
    todo = runnable(page)
    written = names_written(todo)
    with ExitStack() as stack:
        session = stack.enter_context(Session()) if any(step.language == "python" for step in todo) else None
        for step in todo:
            is_python = step.language == "python"
            for word in names_in_python(step.text) if is_python else words_of(step.text):
                if not any(Path(word).is_relative_to(name) for name in written):
                    put_in_place(word, tiny_corpus, models, known)
            if not is_python:
                execute(step)
            elif file := file_of(step):
                Path(file).write_text(step.text, "utf-8")
            elif session is not None:
                session.run(step)


def names_written(todo: list[Code]) -> set[str]:
    """What the commands of a page write; a page that reads it earlier fails. Runs that are resumed are there before."""
    lines = [step.text for step in todo if step.language == "sh"]
    begun = [line for line in lines if not re.search(r"\btrain .*--resume", line)]
    pairs = (pair for line in begun for pair in itertools.pairwise(words_of(line)))
    folders = (word for line in lines if line.startswith("mkdir ") for word in words_of(line))
    return {word for before, word in pairs if before in WRITTEN_BY}.union(folders)


def names_in_python(text: str) -> list[str]:
    """Files and model directories that a block reads."""
    return re.findall(r'(?:load\(|Memory\(|model=|"translate", |read_lines\()"([^"]+)"', text)


def file_of(step: Code) -> str | None:
    """The file that a Python block is to be written to."""
    above = "\n".join((ROOT / step.page).read_text("utf-8").splitlines()[: step.line - 2])
    found = re.search(r"Write `(\w+\.py)`:\s*\Z", above)
    return found[1] if found else None


def execute(step: Code) -> None:
    """Run a command with the small programs; it has to succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step.text], capture_output=True, text=True, timeout=600, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    may_find_problems = "check-data" in step.text
    assert done.returncode in (0, may_find_problems), f"{step}: {step.text}\n{done.stdout}\n{done.stderr}"


class Session:
    """A Python session on a small scale, in which the blocks of a page run one after another."""

    def __enter__(self) -> "Session":
        with Path("session.log").open("w") as log:
            self._python = subprocess.Popen(
                ["python", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        return self

    def run(self, step: Code) -> None:
        print(json.dumps([str(ROOT / step.page), step.line, step.text]), file=self._python.stdin, flush=True)
        done = self._python.stdout.readline()
        assert done, f"{step}: {step.text}\n{Path('session.log').read_text('utf-8')}"

    def __exit__(self, *error: object) -> None:
        self._python.communicate(timeout=600)
