"""The translation memory: durable, exact, and fast with many entries."""

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.extensions.memory import memory as module
from nmt.extensions.memory.memory import TranslationMemory
from nmt.translation.request import Request
from nmt.translation.results import Translation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text("{}")
    return tmp_path


@pytest.fixture
def memory(folder: Path) -> TranslationMemory:
    return TranslationMemory(folder)


def _search(requests: list[Request]) -> list[Translation]:
    return [Translation(request.source, f"({request.source})", -1.0, []) for request in requests]


def test_a_correction_takes_the_place_of_an_older_one_and_of_the_model(memory: TranslationMemory) -> None:
    assert len(memory) == 0
    assert not memory.path.exists()  # reading makes no file
    assert memory.add([("Ein Hund.", "A dog."), (" Eine\r\nKatze. ", "A\x00 cat.")]) == 2
    assert memory.add([("Ein Hund.", "A hound."), ("Eine\nKatze.", "A cat.")]) == 1
    assert [(each.source, each.target) for each in memory] == [("Ein Hund.", "A hound."), ("Eine\nKatze.", "A cat.")]
    found = memory.translate(["Ein Mann.", "Ein Hund.", ""], _search)
    assert [each.text for each in found] == ["(Ein Mann.)", "A hound.", "()"]
    assert "memory" not in found[0].fields
    assert found[1].to_json()["memory"]["similarity"] == 1.0


def test_a_match_meets_the_constraints_of_the_request(memory: TranslationMemory) -> None:
    memory.add([("Ein Hund.", "A dog.")])
    requests = [Request("Ein Hund.", prefix="A "), Request("Ein Hund.", "The"), Request("Ein Hund.", "", ("hound",))]
    assert list(memory.recall(requests)) == [0]
    assert not memory.recall(requests, forbid=["dog"])
    assert not memory.recall([Request("EIN HUND.")])  # a correction holds for its own capitals
    terms = [Request("Ein Hund.", terms={"Hund": "dog", "Katze": "cat"}), Request("Ein Hund.", terms={"Hund": "hound"})]
    assert list(memory.recall(terms)) == [0]


def test_near_matches(memory: TranslationMemory) -> None:
    memory.add([("Ein alter Hund schläft im Garten.", "An old dog sleeps."), ("私は猫が好きです。", "I like cats.")])
    texts = {"Ein junger Hund schläft im Garten.": "An old dog sleeps.", "私は犬が好きです。": "I like cats."}
    for source, target in texts.items():
        match = memory.near(source)
        assert match[0].target == target
        assert 0.8 < match[1] < 1
    memory.add([("Příští týden přijede děda.", "Grandpa comes next week.")])
    assert memory.near("Příští týden přijede můj děda.") is not None
    assert memory.near("Zwei Frauen reden im Garten.") is None
    memory.add([("Zwei Zeilen.", "Two\nlines.")])
    assert memory.recall([Request("Zwei Zeilen.")])[0].text == "Two lines.", "a translation is one line"
    memory.close()
    assert memory.exact("Ein alter Hund schläft im Garten.") is not None, "it is opened again"
    assert memory.near('"OR" NEAR( * ^') is None
    suggested = memory.suggest(_search([Request("Ein junger Hund schläft im Garten.")])[0])
    assert suggested.text == "(Ein junger Hund schläft im Garten.)"
    assert suggested.to_json()["memory"]["translation"] == "An old dog sleeps."


def test_an_entry_that_is_refused_leaves_the_memory_as_it_was(
    memory: TranslationMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: Any = None
    with pytest.raises(UserError, match="is no text"):
        memory.add([("Ein Hund.", missing)])
    with pytest.raises(UserError, match="empty side"):
        memory.add([("a", "b"), ("c", " ")])
    with pytest.raises(UserError, match="20,000 characters"):
        memory.add([("a", "b"), ("c", "d" * 20_001)])
    monkeypatch.setattr(module, "MAX_ENTRIES", 1)
    with pytest.raises(UserError, match="more than 1 entries"):
        memory.add([("a", "b"), ("c", "d")])
    assert len(memory) == 0


def test_a_file_of_a_stranger_is_refused(folder: Path, memory: TranslationMemory) -> None:
    memory.add([("a", "b")])
    memory.close()
    connection = sqlite3.connect(memory.path)
    connection.execute("CREATE TRIGGER words_data AFTER INSERT ON entries BEGIN DELETE FROM entries; END")
    connection.close()
    with pytest.raises(UserError, match="not a translation memory"):
        TranslationMemory(folder)
    memory.path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(UserError, match="can't be used: file is not a database"):
        TranslationMemory(folder)


@pytest.mark.parametrize("column", ["source", "target", "changed"])
def test_bytes_in_place_of_the_text_of_an_entry_are_refused_wherever_it_is_read(
    memory: TranslationMemory, column: str
) -> None:
    memory.add([("Ein alter Hund schläft.", "An old dog sleeps."), ("Eine Katze.", "A cat.")])
    with contextlib.closing(sqlite3.connect(memory.path)) as connection, connection:
        connection.execute(f"UPDATE entries SET {column} = CAST({column} AS BLOB) WHERE id = 1")
    with pytest.raises(UserError, match=r"memory\.sqlite is damaged: a column of an entry is not text"):
        list(memory)
    with pytest.raises(UserError, match="is damaged"):
        memory.near("Ein junger Hund schläft.")
    if column == "source":  # bytes equal no text
        assert memory.exact("Ein alter Hund schläft.") is None
    else:
        with pytest.raises(UserError, match="is damaged"):
            memory.exact("Ein alter Hund schläft.")


def test_a_reader_without_write_access_sees_what_others_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = TranslationMemory(folder)
    writer.add([(f"Satz {i}.", "old") for i in range(1000)])
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda path, mode: False)  # as of a read-only volume
        reader = TranslationMemory(folder)
        assert reader.exact("Satz 5.").target == "old"
    writer.add([("Satz 5.", "new"), *((f"Neu {i}.", "x" * 200) for i in range(1000))])
    assert [reader.exact("Satz 5.").target, len(list(reader))] == ["new", 2000]


def test_readers_do_not_wait_while_many_entries_are_added(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.1)
    reader = TranslationMemory(folder)
    reader.add([("Satz.", "Sentence.")])
    pairs = ((f"{i} {reader.exact('Satz.').target} {'x' * 1000}", "y" * 1000) for i in range(4000))
    assert TranslationMemory(folder).add(pairs) == 4000


@pytest.mark.posix
def test_a_file_that_is_replaced_or_deleted_is_not_read_any_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = TranslationMemory(folder)
    memory.add([("a", "old")])
    backup = shutil.copyfile(memory.path, folder / "backup")
    assert memory.exact("a").target == "old"
    memory.path.unlink()
    assert memory.exact("a") is None
    backup.rename(memory.path)
    memory.add([("a", "new")])
    assert memory.exact("a").target == "new"
    stat = Path.stat  # on some network drives files have no numbers
    monkeypatch.setattr(
        Path, "stat", lambda path, **named: SimpleNamespace(st_mode=stat(path, **named).st_mode, st_ino=0)
    )
    assert memory.exact("a").target == "new"


def test_many_writers_lose_nothing(folder: Path) -> None:
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        start.wait()
        memory = TranslationMemory(folder)
        for i in range(10):
            memory.add([(f"{writer} {i}", f"{i}")])
        memory.close()

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    assert len(TranslationMemory(folder)) == 40


@pytest.mark.posix
def test_a_killed_writer_loses_nothing(folder: Path, python: Path) -> None:
    """A process is killed as soon as it has said that an entry is added; a copy of the folder has all of them."""
    program = (
        "import sys, itertools; from nmt.extensions.memory.memory import TranslationMemory\n"
        "memory = TranslationMemory(sys.argv[1])\n"
        "for i in itertools.count(): memory.add([(f'source {i}', 'target')]); print(i, flush=True)"
    )
    process = subprocess.Popen([python, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
    for _ in range(20):
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGUSR1)  # as SIGKILL
    process.wait()
    last = max([last, *map(int, process.stdout.read().split())])
    shutil.copytree(folder, folder.parent / "copy")
    for place in (folder, folder.parent / "copy"):
        sources = [entry.source for entry in TranslationMemory(place)]
        assert sources[: last + 1] == [f"source {i}" for i in range(last + 1)]
        assert len(sources) - last in (1, 2)  # one more may have been added before it could say so
