"""Translation memory: corrected translations in the folder of a model, by which later sentences are translated.

It is an SQLite database. A correction is on the disk when :meth:`TranslationMemory.add` returns, and any
number of threads and processes may read and write. An exact match is found by an index of the sources. For a near
match, an index of words (FTS5) proposes sources with the rarest words of the sentence, which are compared letter by
letter.
"""

import contextlib
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from nmt.core.errors import BrokenModel, UserError, shortened
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import INVISIBLE
from nmt.translation.glossary import Glossary
from nmt.translation.request import Request
from nmt.translation.results import Candidate, Translation

MAX_CHARACTERS, MAX_ENTRIES, MAX_NEAR = 20_000, 1_000_000, 1_000
"""Largest numbers of characters of a text, of entries, and of characters of a sentence that has near matches."""
SIMILARITY = 0.7
"""Least similarity of a near match."""
NUM_LONGEST, NUM_RAREST, NUM_COMPARED = 12, 4, 12
"""Numbers of the longest words, whose frequency is read, of the rarest of them, by which sources are found, and of the
best sources by BM25, which are compared."""
SECONDS = 30.0
"""Longest time that a writer waits for others."""
SCHEMA = (
    "CREATE TABLE entries "
    "(id INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, target TEXT NOT NULL, changed TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE words USING fts5(source, content='')",
    "CREATE VIRTUAL TABLE frequencies USING fts5vocab(words, row)",
)
_TABLES = (
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND NOT "
    "(type = 'table' AND name IN ('words_data', 'words_idx', 'words_docsize', 'words_config'))"  # those of FTS5
)
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT 10000)"
"""FTS5 stores words without accents, so that they are not found as terms of ``frequencies``."""
_SIMILAR = (
    f"WHERE length(source) <= {2 * MAX_NEAR} AND id IN "
    f"(SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT {NUM_COMPARED})"
)
_UPSERT = (
    "INSERT INTO entries (source, target, changed) VALUES (?, ?, ?) ON CONFLICT (source) DO UPDATE SET "
    "target = excluded.target, changed = excluded.changed WHERE target != excluded.target"
)
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML can't contain."""
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|(?:(?![\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])[^\W_])+"
)
"""A word, or a character of a script without spaces."""


@dataclass(frozen=True)
class Entry:
    """A source text and its corrected translation."""

    source: str
    target: str
    changed: str = ""
    """Time of the correction, such as ``20261124T031500Z``; empty for now."""

    def to_json(self, similarity: float) -> dict[str, Any]:
        """Returns the field ``memory`` of a translation of a text with this similarity to the source."""
        found = {"similarity": round(similarity, 4), "source": self.source}
        return found | {"translation": self.target, "changed": self.changed}


class TranslationMemory:
    """The translation memory of a model.

    Args:
        directory: the model directory. The database is made with the first entry.

    Raises:
        UserError: it is no model directory, or the database is damaged or of another program.

    Example::

        memory = nmt.TranslationMemory("runs/de-en")
        memory.add([("Ein Hund schläft.", "A dog is asleep.")])
        memory.translate(["Ein Hund schläft.", "Ein Mann schläft."], nmt.load("runs/de-en").translate)
    """

    def __init__(self, directory: Path | str) -> None:
        files = ModelDirectory(directory)
        files.check()
        self.path, self._lock = files.file("memory.sqlite*"), threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._inode: int | None = None  # of the file that the reader has open
        self._select("SELECT 1")

    def __len__(self) -> int:
        return sum(count for (count,) in self._select("SELECT count(*) FROM entries"))

    def __iter__(self) -> Iterator[Entry]:
        """Yields the entries, the oldest first."""
        return iter(self._entries("ORDER BY id"))

    def close(self) -> None:
        """Closes the database."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def add(self, entries: Iterable[Entry | tuple[str, str]]) -> int:
        """Adds corrections, all or none; one of a source that is there already takes the place of the older.

        Returns:
            The number of entries that were added or changed.

        Raises:
            UserError: a side is empty or too long, the memory is full, or it can't be written.
        """
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        checked = (_checked(each if isinstance(each, Entry) else Entry(*each), now) for each in entries)
        with self._errors(), contextlib.closing(self._connect()) as connection:
            connection.create_function("split", 1, lambda source: " ".join(_WORD.findall(source)))
            connection.execute("PRAGMA cache_spill = OFF")  # readers wait for the commit alone, not for the entries
            connection.execute("BEGIN IMMEDIATE")
            before, last = connection.total_changes, _count(connection)  # nothing is deleted: ids are 1, 2 and so on
            connection.executemany(_UPSERT, checked)
            num_changed = connection.total_changes - before
            if _count(connection) > MAX_ENTRIES:
                raise UserError(f"{self.path} would have more than {MAX_ENTRIES:,} entries.", "Add fewer.")
            connection.execute(
                "INSERT INTO words (rowid, source) SELECT id, split(source) FROM entries WHERE id > ?", (last,)
            )
            connection.execute("COMMIT")
        return num_changed

    def exact(self, source: str) -> Entry | None:
        """Returns the entry of a source, None if there is none."""
        return next(iter(self._entries("WHERE source = ?", _clean(source))), None)

    def near(self, source: str, similarity: float = SIMILARITY) -> tuple[Entry, float] | None:
        """Returns the most similar entry with its similarity, None if there is none of at least ``similarity``.

        The similarity is twice the number of common letters by that of all letters (Ratcliff & Metzener 1988).
        """
        text = _clean(source)
        if len(text) > MAX_NEAR:
            return None
        longest = sorted(dict.fromkeys(_WORD.findall(text.lower())), key=len, reverse=True)[:NUM_LONGEST]
        counts = {word: self._select(_COUNT, f'"{word}"') for word in longest}
        rarest = sorted((count[0][0], word) for word, count in counts.items() if count and count[0][0])[:NUM_RAREST]
        query = " OR ".join(f'"{word}"' for _, word in rarest)
        best, matcher = None, SequenceMatcher(None, "", text, autojunk=False)
        for entry in self._entries(_SIMILAR, query) if query else ():
            matcher.set_seq1(entry.source)
            if min(matcher.real_quick_ratio(), matcher.quick_ratio()) >= similarity:
                ratio = matcher.ratio()
                if ratio >= similarity:
                    best, similarity = (entry, ratio), ratio
        return best

    def recall(self, requests: Sequence[Request], forbid: Sequence[str] = ()) -> dict[int, Translation]:
        """Returns translations by exact matches, by the index of the request, that meet its constraints."""
        found = {}
        for index, request in enumerate(requests):
            entry = self.exact(request.source) if request.source.strip() else None
            text = " ".join(entry.target.split()) if entry is not None else ""  # one line, as all translations
            is_allowed = text.startswith(request.prefix) and not any(phrase in text for phrase in forbid)
            is_complete = all(phrase in text for phrase in request.must_contain)
            is_complete = is_complete and not Glossary(request.terms).missing(request.source, text)
            if entry is not None and is_allowed and is_complete:
                best = Candidate(text, 0.0, text.split())
                fields = {"memory": entry.to_json(1.0)}
                found[index] = Translation(
                    request.source, text, 0.0, best.tokens, [best], terms=request.terms, fields=fields
                )
        return found

    def translate(
        self,
        lines: Iterable[str | Request],
        search: Callable[[list[Request]], Iterable[Translation]],
        examine: Callable[[list[Translation]], Iterable[Translation]] | None = None,
        forbid: Sequence[str] = (),
    ) -> list[Translation]:
        """Translates lines by exact matches, and the others by a model.

        ``search`` translates lines, as :meth:`Translator.translate` does; those with an exact match are empty there.
        ``examine`` adds fields, such as word alignment, to translations from the memory. They contain none of the
        phrases ``forbid``.
        """
        requests = [Request(line) if isinstance(line, str) else line for line in lines]
        found = self.recall(requests, forbid)
        searched = search([Request("") if i in found else request for i, request in enumerate(requests)])
        if found and examine is not None:
            found = dict(zip(found, examine(list(found.values())), strict=True))
        return [found.get(i, translation) for i, translation in enumerate(searched)]

    def suggest(self, translation: Translation) -> Translation:
        """Adds a near match to a translation of a model, in the field ``memory``."""
        near = None if translation.fields.get("memory") else self.near(translation.source)
        if near is None:
            return translation
        return replace(translation, fields={**translation.fields, "memory": near[0].to_json(near[1])})

    def _entries(self, condition: str, *values: str) -> list[Entry]:
        """Returns the entries that meet a condition. A value may be bytes: SQLite enforces no types."""
        rows = self._select(f"SELECT source, target, changed FROM entries {condition}", *values)
        if not all(isinstance(value, str) for row in rows for value in row):
            message = f"{self.path} is damaged: a column of an entry is not text."
            raise BrokenModel(message, "Restore the file from a backup, or delete it and import the corrections again.")
        return [Entry(*row) for row in rows]

    def _select(self, query: str, *values: str) -> list[Any]:
        """Returns the rows of a query; none as long as there is no database."""
        with self._errors(), self._lock:
            inode = self.path.stat().st_ino if self.path.exists() else None  # 0 on some network drives
            if inode != self._inode:  # the file was deleted, or another one has taken its place
                self.close()
            if self._reader is None and inode is not None:
                self._reader, self._inode = self._connect(), inode
            return self._reader.execute(query, values).fetchall() if self._reader is not None else []

    def _connect(self) -> sqlite3.Connection:
        """Opens the database, and makes its tables if there are none. A database with other tables is refused."""
        mode = "rwc" if os.access(self.path.parent, os.W_OK) else "ro"
        address = f"{self.path.resolve().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, SECONDS, isolation_level=None, check_same_thread=False, uri=True)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA synchronous = EXTRA")  # a commit survives a power failure
        if not connection.execute(_TABLES).fetchall():
            connection.execute("BEGIN IMMEDIATE")
            for statement in () if connection.execute(_TABLES).fetchall() else SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        if {row[0] for row in connection.execute(_TABLES)} != set(SCHEMA):
            connection.close()
            raise BrokenModel(f"{self.path} is not a translation memory of this version.", "Move it elsewhere.")
        return connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            remedy = "Check that the folder can be written; restore or delete the file if it is damaged."
            raise BrokenModel(f"{self.path} can't be used: {error}.", remedy) from None


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])


def _clean(text: str) -> str:
    """Returns a text without the characters that TMX can't contain or requests leave out, and white space around it."""
    return _ILLEGAL.sub("", text).translate(INVISIBLE).replace("\r\n", "\n").replace("\r", "\n").strip()


def _checked(entry: Entry, now: str) -> tuple[str, str, str]:
    """Returns the values of an entry; raises UserError if a side is empty or too long."""
    if not isinstance(entry.source, str) or not isinstance(entry.target, str):
        raise UserError(f"The correction of {shortened(repr(entry.source))} is no text.", "Give both texts.")
    source, target = _clean(entry.source), _clean(entry.target)
    if not source or not target:
        raise UserError(f"The correction of {shortened(source or target)!r} has an empty side.", "Give both texts.")
    if max(len(source), len(target)) > MAX_CHARACTERS:
        message = f"The correction of {shortened(source)!r} has more than {MAX_CHARACTERS:,} characters."
        raise UserError(message, "Correct sentence by sentence.")
    return source, target, entry.changed if re.fullmatch(r"\d{8}T\d{6}Z", entry.changed) else now
