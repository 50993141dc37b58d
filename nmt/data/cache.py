"""Encoded corpora: memory-mapped ids, cached by the content of the text and of the vocabulary.

A corpus may be larger than memory, because only the rows in use are copied (:meth:`Rows.taken`).
"""

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from os.path import isfile
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

import numpy as np
import numpy.typing as npt

from nmt.core.errors import UserError
from nmt.core.files import move, shared, sync
from nmt.core.jsonlines import read_object
from nmt.data.batch import Joined, indices_of_runs
from nmt.data.sources import ParallelText
from nmt.data.vocabulary.files import Vocabularies

LAYOUT = 4  # raised when the files of the cache change

CHUNK = 20_000  # number of rows that are copied at a time


@dataclass(frozen=True)
class Counts:
    """Number of pairs of a text that were kept and dropped."""

    kept: int
    empty: int
    too_long: int
    target_pieces: int = 0  # number of target pieces of the kept pairs, without EOS
    longest: int = 0  # maximum number of pieces of a sentence


class PairExtras(Protocol):
    """Integers of each sentence pair for a training technique, such as links between its pieces."""

    name: str  # name of the annotations in a corpus and in a batch: letters, digits and underscores
    width: int  # number of integers of a row

    def fingerprint(self) -> str:
        """Returns a text that changes whenever the annotations do."""

    def of_pairs(self, text: ParallelText) -> Iterator[npt.NDArray[np.integer]]:
        """Yields the rows of every pair of a text, including those that are dropped. [num_rows, width]"""


class Sentences(ABC):
    """The sentences of one side of a text, as ids."""

    lengths: npt.NDArray[np.int64]  # number of pieces of each sentence, without EOS

    @abstractmethod
    def __getitem__(self, index: int) -> npt.NDArray[np.integer]: ...

    def joined(self, rows: npt.NDArray[np.int64]) -> Joined:
        """Returns some sentences."""
        return Joined.of([self[row] for row in rows])

    def __len__(self) -> int:
        return len(self.lengths)


ParallelIds = tuple[Sentences, Sentences]  # source and target


class Rows(Sentences):
    """Sentences, or annotations of each pair.

    Args:
        values: ids, or rows of integers, one after the other.
        offsets: where each sentence, or the annotations of each pair, begin, and where the last ones end.
    """

    def __init__(self, values: npt.NDArray[np.integer], offsets: npt.NDArray[np.int64]) -> None:
        self._values, self._offsets = values, offsets

    @classmethod
    def mapped(
        cls, file: Path | BinaryIO, dtype: npt.DTypeLike, offsets: npt.NDArray[np.int64], width: int | None = None
    ) -> Self:
        """Memory-maps a file; ``width``: integers of a row of annotations."""
        values = _mapped(file, dtype, empty=offsets[-1] == 0)
        return cls(values if width is None else values.reshape(-1, width), offsets)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:  # type: ignore[override]
        return np.diff(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
        return self._values[self._offsets[index] : self._offsets[index + 1]]

    def joined(self, rows: npt.NDArray[np.int64]) -> Joined:
        first_B, length_B = self._offsets[rows], self._offsets[rows + 1] - self._offsets[rows]
        return Joined(self._values[indices_of_runs(first_B, length_B)], length_B)

    def counts(self, size: int, limit: int = 10_000_000) -> npt.NDArray[np.int64]:
        """Returns how often each id occurs among the first ones. ``limit``: number of ids that are counted."""
        return np.bincount(self._values[:limit], minlength=size)

    def taken(self, rows: npt.NDArray[np.int64]) -> "Rows":
        """Returns a copy of some rows in memory, and releases the pages of the file."""
        parts = []
        for chunk in np.split(rows, range(CHUNK, len(rows), CHUNK)):
            parts.append(self.joined(chunk))
            for mapped in (self._values, self._offsets):
                _give_back(mapped)
        lengths = np.concatenate([np.zeros(1, np.int64), *(part.length_B for part in parts)])
        return Rows(np.concatenate([part.ids_N for part in parts]), lengths.cumsum())


def _mapped(file: Path | BinaryIO, dtype: npt.DTypeLike, empty: bool) -> npt.NDArray[Any]:
    """Maps the numbers of a file; an empty file can't be mapped."""
    return np.zeros(0, dtype) if empty else np.memmap(file, dtype, "r")


def _give_back(array: npt.NDArray[np.integer]) -> None:
    """Releases the pages of a mapped file from the memory of this process."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):  # not on Windows
        base.madvise(mmap.MADV_DONTNEED)


class EncodedCorpus:
    """Sentence pairs as ids. ``lines[i]`` is the line of pair ``i`` in the text, counted from 0."""

    def __init__(self, directory: Path) -> None:
        self.fingerprint = directory.name
        """Changes with the text, the vocabulary and the maximum length."""
        meta = read_object(directory / "meta.json")

        def read(name: str, suffix: str, dtype: str, width: int | None = None) -> Rows:
            offsets = _mapped(directory / f"{name}.offsets", np.int64, empty=False)
            path, size = directory / f"{name}.{suffix}", offsets[-1] * np.dtype(dtype).itemsize * (width or 1)
            if len(offsets) != len(self.lines) + 1 or path.stat().st_size != size:
                raise ValueError(f"{path.name} does not fit the other files")
            return Rows.mapped(path, dtype, offsets, width)

        self.counts = Counts(**meta["counts"])
        self.lines: npt.NDArray[np.int64] = _mapped(directory / "lines", np.int64, empty=not self.counts.kept)
        self.source, self.target = (read(side, "ids", meta["dtype"]) for side in ("source", "target"))
        self.sides: ParallelIds = self.source, self.target
        self.annotations = {name: read(name, "int32", "int32", n) for name, n in meta["annotations"].items()}
        """Annotations of each pair, by name. [num_rows, width]"""

    def __len__(self) -> int:
        return self.counts.kept


def cache_directory() -> Path:
    """Returns ``$NMT_CACHE``, or ``nmt`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(os.environ.get("NMT_CACHE") or (Path(base) if base else Path.home() / ".cache") / "nmt")


def encode_corpus(
    text: ParallelText,
    vocabularies: Vocabularies,
    max_length: int,
    on_progress: Callable[[int], None] = lambda pairs: None,
    annotations: Sequence[PairExtras] = (),
) -> EncodedCorpus:
    """Returns the ids of a text, from the cache if it has them.

    Args:
        max_length: pairs with more pieces than this on either side are dropped and counted, like empty ones; a
            dialogue loses its oldest turns first.
        on_progress: called with the number of pairs read, now and then.
        annotations: kept beside the ids.

    Raises:
        UserError: no pair is left, or the cache can't be written.
    """
    key = f"{LAYOUT} {text.fingerprint()} {vocabularies.fingerprint} {max_length}"
    for annotation in annotations:
        key += f" {annotation.name} {annotation.width} {annotation.fingerprint()}"
    directory = cache_directory() / "corpora" / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    if not isfile(directory / "meta.json"):  # not is_file(), which raises where the folder can't be read
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            with (
                shared(directory.parent),
                tempfile.TemporaryDirectory(".tmp", ".nmt-", directory.parent, ignore_cleanup_errors=True) as temporary,
            ):
                (written := Path(temporary, "ids")).mkdir()  # others may read it, unlike the folder that it is in
                _write(written, text, vocabularies, max_length, on_progress, annotations)
                if not isfile(directory / "meta.json"):  # or another process was faster
                    shutil.rmtree(directory, ignore_errors=True)
                    move(written, directory)
        except OSError as error:
            raise UserError(
                f"The encoded corpus can't be written to {directory}: {error.strerror or error}.",
                "Free some space, or point the environment variable NMT_CACHE at another folder.",
            ) from None
    try:
        corpus = EncodedCorpus(directory)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{directory} is damaged: {error}.", "Delete it: the corpus is then encoded anew.") from error
    if not len(corpus):
        counts = corpus.counts
        raise UserError(
            f"{text.name}: no sentence pair is left ({counts.empty} empty, {counts.too_long} longer than "
            f"{max_length} pieces).",
            "Check the files, or raise data.max_length.",
        )
    return corpus


def _write(
    directory: Path,
    text: ParallelText,
    vocabularies: Vocabularies,
    max_length: int,
    on_progress: Callable[[int], None],
    annotations: Sequence[PairExtras],
) -> None:
    dtype = "uint16" if max(len(vocabularies.source), len(vocabularies.target)) <= 1 << 16 else "int32"
    counts, is_kept = Counter(kept=0, empty=0, too_long=0, target_pieces=0, longest=0), array("b")
    with (
        _rows(directory, "source", "ids", dtype) as sources,
        _rows(directory, "target", "ids", dtype) as targets,
        (directory / "lines").open("wb") as lines,
    ):
        for line, (source_text, target_text) in enumerate(text):
            if line % 1000 == 0:
                on_progress(line)
            source = text.reader.source_ids(vocabularies.source, source_text, max_length)
            try:
                target = vocabularies.target.encode(target_text)
            except UserError as error:
                raise UserError(f"{text.name}, pair {line + 1}: {error.message}", error.remedy) from None
            is_long = max(len(source), len(target)) > max_length
            fate = "empty" if not source or not target else "too_long" if is_long else "kept"
            counts[fate] += 1
            is_kept.append(fate == "kept")
            if fate == "kept":
                sources(source)
                targets(target)
                lines.write(line.to_bytes(8, sys.byteorder))
                counts["target_pieces"] += len(target)
                counts["longest"] = max(counts["longest"], len(source), len(target))
    for annotation in annotations:
        with _rows(directory, annotation.name, "int32", "int32") as append:
            for rows in compress(annotation.of_pairs(text), is_kept):
                append(rows)
    widths = {annotation.name: annotation.width for annotation in annotations}
    meta = {"dtype": dtype, "counts": counts, "annotations": widths}
    (directory / "meta.json").write_text(json.dumps(meta))
    for path in directory.iterdir():
        sync(path)


@contextlib.contextmanager
def _rows(directory: Path, name: str, suffix: str, dtype: str) -> Iterator[Callable[[npt.ArrayLike], None]]:
    """Writes the files of :class:`Rows`; the function appends a sentence, or the annotations of a pair."""
    end = 0
    with (directory / f"{name}.{suffix}").open("wb") as file, (directory / f"{name}.offsets").open("wb") as offsets:
        offsets.write(bytes(8))

        def append(rows: npt.ArrayLike) -> None:
            nonlocal end
            values = np.asarray(rows, dtype=dtype)
            file.write(values.tobytes())
            end += len(values)
            offsets.write(end.to_bytes(8, sys.byteorder))

        yield append
