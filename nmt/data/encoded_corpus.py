"""Encoded corpora: ids on disk, memory-mapped, made once for each text and vocabulary.

A corpus larger than memory works, because nothing but the lengths is held; a second start is instant, because
the cache is keyed by the content of the text and of the vocabulary.
"""

import hashlib
import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from nmt.data.corpus import ParallelText
from nmt.data.dialogue import encode_source
from nmt.data.vocabulary import Vocabularies
from nmt.errors import UserError
from nmt.files import sync

LAYOUT = 2  # raised when the files of the cache change


@dataclass(frozen=True)
class Counts:
    """What became of the pairs of a text."""

    kept: int
    empty: int
    too_long: int


class PairAnnotations(Protocol):
    """Integers that belong to each sentence pair, such as links between its pieces; a training technique reads them."""

    name: str
    """Of the annotations in a corpus and in a batch: letters, digits and underscores."""
    width: int
    """Integers of a row."""

    def fingerprint(self) -> str:
        """Changes whenever the annotations do."""

    def of_pairs(self, text: Iterable[tuple[str, str]]) -> Iterator[npt.NDArray[np.integer]]:
        """The rows of each pair of a text, of empty ones and of those that are dropped, too. [num_rows, width]"""


def map_ids(file: Path | BinaryIO, dtype: npt.DTypeLike, size: int) -> npt.NDArray[np.integer]:
    """The ids in a file, memory-mapped. [size]"""
    return np.memmap(file, dtype=dtype, mode="r") if size else np.zeros(0, dtype=dtype)


class Sentences(ABC):
    """The sentences of one side of a text, as ids."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[np.integer]:
        """That of the ids."""

    @property
    @abstractmethod
    def lengths(self) -> npt.NDArray[np.int64]:
        """Pieces of each sentence, EOS not counted."""

    @abstractmethod
    def __getitem__(self, index: int) -> npt.NDArray[np.integer]: ...

    def __len__(self) -> int:
        return len(self.lengths)


Sides = tuple[Sentences, Sentences]
"""Source and target."""


class EncodedSide(Sentences):
    """The sentences of one language: flat ids, memory-mapped, and where each sentence starts."""

    def __init__(self, ids: npt.NDArray[np.integer], offsets: npt.NDArray[np.int64]) -> None:
        self.offsets = offsets
        self._ids = ids

    @classmethod
    def read(cls, stem: Path, dtype: str) -> "EncodedSide":
        """From the files of the cache."""
        offsets: npt.NDArray[np.int64] = np.load(stem.with_suffix(".offsets.npy"))
        return cls(map_ids(stem.with_suffix(".ids"), dtype, int(offsets[-1])), offsets)

    @property
    def dtype(self) -> np.dtype[np.integer]:
        return self._ids.dtype

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
        return self._ids[self.offsets[index] : self.offsets[index + 1]]


class EncodedCorpus:
    """Sentence pairs as ids. ``lines[i]`` is the line that pair ``i`` stands on in the text, from 0."""

    def __init__(self, directory: Path) -> None:
        self.fingerprint = directory.name
        """Changes with the text, the vocabulary and the longest length."""
        meta = json.loads((directory / "meta.json").read_text())
        self.counts = Counts(**meta["counts"])
        self.source = EncodedSide.read(directory / "source", meta["dtype"])
        self.target = EncodedSide.read(directory / "target", meta["dtype"])
        self.lines: npt.NDArray[np.int64] = np.load(directory / "lines.npy")
        self.annotations = {name: Rows(directory, name, width) for name, width in meta["annotations"].items()}
        """Of each pair, by name."""

    def __len__(self) -> int:
        return self.counts.kept

    @property
    def sides(self) -> Sides:
        return self.source, self.target

    def pair(self, index: int) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
        """Source and target ids of a pair, without SOS and EOS."""
        return self.source[index], self.target[index]


class Rows:
    """Annotations of the pairs of a corpus: for each pair an array of rows, memory-mapped."""

    def __init__(self, directory: Path, name: str, width: int) -> None:
        self._offsets: npt.NDArray[np.int64] = np.load(directory / f"{name}.offsets.npy")
        flat = map_ids(directory / f"{name}.int32", "int32", int(self._offsets[-1]) * width)
        self._rows: npt.NDArray[np.integer] = flat.reshape(-1, width)

    def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
        """Those of a pair. [num_rows, width]"""
        return self._rows[self._offsets[index] : self._offsets[index + 1]]


def cache_directory() -> Path:
    """``$NMT_CACHE``, or ``nmt`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(os.environ.get("NMT_CACHE") or (Path(base) if base else Path.home() / ".cache") / "nmt")


def encode_corpus(
    text: ParallelText,
    vocabularies: Vocabularies,
    max_length: int,
    on_progress: Callable[[int], None] = lambda pairs: None,
    annotations: Sequence[PairAnnotations] = (),
) -> EncodedCorpus:
    """The ids of a text, from the cache where they are in it already.

    Args:
        text: the sentence pairs.
        vocabularies: what encodes them.
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
    if not (directory / "meta.json").is_file():
        try:
            _write(directory, text, vocabularies, max_length, on_progress, annotations)
        except OSError as error:
            raise UserError(
                f"The encoded corpus can't be written to {directory}: {error.strerror or error}.",
                "Free some space, or point the environment variable NMT_CACHE at another folder.",
            ) from None
    corpus = EncodedCorpus(directory)
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
    annotations: Sequence[PairAnnotations],
) -> None:
    """Encode into a folder with a temporary name, renamed when it is whole."""
    dtype = "uint16" if max(len(vocabularies.source), len(vocabularies.target)) <= 1 << 16 else "int32"
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix="writing-", dir=directory.parent))
    try:
        counts = _encode_pairs(temporary, text, vocabularies, max_length, dtype, on_progress)
        for annotation in annotations:
            _write_annotations(temporary, annotation.name, annotation.of_pairs(text))
        widths = {annotation.name: annotation.width for annotation in annotations}
        meta = {"dtype": dtype, "counts": asdict(counts), "annotations": widths}
        (temporary / "meta.json").write_text(json.dumps(meta))
        for path in temporary.iterdir():
            sync(path)
        if not (directory / "meta.json").is_file():  # or somebody else was faster
            shutil.rmtree(directory, ignore_errors=True)
            os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _encode_pairs(
    directory: Path,
    text: ParallelText,
    vocabularies: Vocabularies,
    max_length: int,
    dtype: str,
    on_progress: Callable[[int], None],
) -> Counts:
    offsets, lines = (array("q", [0]), array("q", [0])), array("q")
    empty = too_long = 0

    def append(file: BinaryIO, ends: "array[int]", ids: list[int]) -> None:
        file.write(np.asarray(ids, dtype=dtype).tobytes())
        ends.append(ends[-1] + len(ids))

    with (directory / "source.ids").open("wb") as sources, (directory / "target.ids").open("wb") as targets:
        for line, (source_text, target_text) in enumerate(text):
            if line % 1000 == 0:
                on_progress(line)
            source = encode_source(vocabularies.source, source_text, text.context, max_length)
            target = vocabularies.target.encode(target_text)
            if not source or not target:
                empty += 1
            elif max(len(source), len(target)) > max_length:
                too_long += 1
            else:
                append(sources, offsets[0], source)
                append(targets, offsets[1], target)
                lines.append(line)
    np.save(directory / "source.offsets.npy", np.frombuffer(offsets[0], dtype=np.int64))
    np.save(directory / "target.offsets.npy", np.frombuffer(offsets[1], dtype=np.int64))
    np.save(directory / "lines.npy", np.frombuffer(lines, dtype=np.int64) if lines else np.zeros(0, np.int64))
    return Counts(kept=len(lines), empty=empty, too_long=too_long)


def _write_annotations(directory: Path, name: str, of_pairs: Iterable[npt.NDArray[np.integer]]) -> None:
    """The rows of the pairs that were kept, in their order."""
    kept = set(np.load(directory / "lines.npy").tolist())
    offsets = array("q", [0])
    with (directory / f"{name}.int32").open("wb") as file:
        for line, rows in enumerate(of_pairs):
            if line in kept:
                file.write(rows.astype(np.int32).tobytes())
                offsets.append(offsets[-1] + len(rows))
    np.save(directory / f"{name}.offsets.npy", np.frombuffer(offsets, dtype=np.int64))
