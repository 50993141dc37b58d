"""Parallel text as the filters read it: lines in batches, and statistics of each line and of the whole corpus."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.data.filters.language import CharacterModel
from nmt.data.text import read_lines
from nmt.data.vocabulary import Vocabularies, Vocabulary

BATCH_SIZE = 4000
MIN_CHARACTERS = 20
"""Shorter lines are not judged by their length or language."""
MIN_LINES = 500
"""Fewer don't show which lengths and probabilities are usual."""

LINE = np.dtype(
    [("hash", "u8"), ("composed", "?"), ("decomposed", "?"), ("own_score", "f4"), ("other_score", "f4")]
    + [(count, "u4") for count in ("words", "characters", "letters", "pieces", "unknown", "bytes")]
)
"""Statistics of a line: a hash that ignores white space; whether it has the normal form C or D, if these differ; the
mean log probability of a character by the models of this side and the other one; numbers of words, of characters, of
letters in words of two letters or more, of pieces, and of UNK and bytes among them."""

Progress = Callable[[int], None]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Consecutive pairs, or lines of the longer file alone, when the other side has no lines."""

    start: int
    lines: tuple[list[str], list[str]]


@dataclass(frozen=True)
class PairSource:
    """Parallel text that can be read repeatedly; a line is None where the other file is longer."""

    names: tuple[str, str]
    read: Callable[[], Iterable[tuple[str | None, str | None]]]

    def batches(self, on_progress: Progress) -> Iterator[Batch]:
        """Read all lines; ``on_progress`` is called with the size of each batch."""
        start, rows = 0, iter(self.read())
        while chunk := list(islice(rows, BATCH_SIZE)):
            num_pairs = sum(None not in row for row in chunk)
            for part in filter(None, (chunk[:num_pairs], chunk[num_pairs:])):
                source, target = ([line for line in side if line is not None] for side in zip(*part, strict=True))
                yield Batch(start, (source, target))
                start += len(part)
            on_progress(len(chunk))

    def texts(self, indices: Iterable[int]) -> dict[int, tuple[str, str]]:
        """Read the pairs with the given indices, counted from 0."""
        wanted = set(indices)
        head = enumerate(islice(self.read(), max(wanted, default=-1) + 1))
        return {index: (source or "", target or "") for index, (source, target) in head if index in wanted}


def file_pairs(source: Path | str, target: Path | str) -> PairSource:
    """The lines of two files, which may have invalid UTF-8 and different lengths."""

    def read() -> Iterator[tuple[str | None, str | None]]:
        return zip_longest(read_lines(source, keep_invalid=True), read_lines(target, keep_invalid=True))

    return PairSource((Path(source).name, Path(target).name), read)


class Side:
    """Statistics of one side of a corpus.

    Attributes:
        num_lines: lines of the file, including those without a partner.
        lines: array of type LINE with an entry for each pair.
        model: character model of all lines.
    """

    def __init__(self, name: str, vocabulary: Vocabulary | None) -> None:
        self.name, self.vocabulary, self.model = name, vocabulary, CharacterModel()
        self.num_lines, self.lines = 0, np.zeros(0, LINE)

    def is_long(self) -> Mask:
        """True for lines that are long enough to be judged, if there are enough of them."""
        mask = self.lines["characters"] >= MIN_CHARACTERS
        return np.asarray(mask & (mask.sum() >= MIN_LINES))


class Statistics:
    """Statistics of a corpus. Most come from a first pass, which the constructor makes, the others from a second one.

    Args:
        pairs: the corpus.
        test: text that must not occur in it.
        vocabularies: those of the model that is to be trained.
        max_length: training drops pairs with more pieces than this on a side.
        on_progress: called with the number of lines read since the last call.
    """

    def __init__(
        self,
        pairs: PairSource,
        test: "Statistics | None" = None,
        vocabularies: Vocabularies | None = None,
        max_length: int = 150,
        on_progress: Progress = lambda num_lines: None,
    ) -> None:
        self.pairs, self.test, self.max_length = pairs, test, max_length
        source, target = (None, None) if vocabularies is None else (vocabularies.source, vocabularies.target)
        self.sides = (Side(pairs.names[0], source), Side(pairs.names[1], target))
        described = [[side.lines] for side in self.sides]
        for batch in pairs.batches(on_progress):
            for index, (side, lines) in enumerate(zip(self.sides, batch.lines, strict=True)):
                side.num_lines += len(lines)
                if all(batch.lines):
                    described[index].append(_describe(lines))
                    side.model.add(lines)
        for index, side in enumerate(self.sides):
            side.lines = np.concatenate(described[index])
        self.num_pairs = len(self.sides[0].lines)

    def second_pass(self, on_progress: Progress) -> Iterator[Batch]:
        """Score lines by the character models and count pieces; the batches are given to the caller as well."""
        for batch in self.pairs.batches(on_progress):
            for side, other, lines in zip(self.sides, self.sides[::-1], batch.lines, strict=True):
                if all(batch.lines):
                    rows = side.lines[batch.start : batch.start + len(lines)]
                    rows["own_score"] = side.model.log_probabilities(lines, counted=True)
                    rows["other_score"] = other.model.log_probabilities(lines, counted=False)
                    if side.vocabulary is not None:
                        _count_pieces(rows, lines, side.vocabulary)
            yield batch

    @property
    def has_text(self) -> Mask:
        """True for pairs without an empty side."""
        mask: Mask = (self.sides[0].lines["words"] > 0) & (self.sides[1].lines["words"] > 0)
        return mask

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """A hash of each pair."""
        source, target = (side.lines["hash"] for side in self.sides)
        return np.asarray(source * np.uint64(0x9E3779B97F4A7C15) + target)

    @property
    def log_ratios(self) -> npt.NDArray[np.float64]:
        """Logarithm of target characters per source character; 0 for pairs with an empty side."""
        source, target = (np.maximum(side.lines["characters"], 1) for side in self.sides)
        return np.where(self.has_text, np.log(target / source), 0.0)


def median_and_deviation(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Median and standard deviation of most values; outliers don't change them, as both come from quartiles."""
    low, median, high = np.percentile(values, (25, 50, 75))
    return median, (high - low) / 1.349


def _describe(lines: list[str]) -> npt.NDArray[np.void]:
    rows = np.zeros(len(lines), LINE)
    contents = (" ".join(line.split()).encode("utf-8", "surrogatepass") for line in lines)
    rows["hash"] = [int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") for content in contents]
    rows["words"] = [len(line.split()) for line in lines]
    rows["characters"] = [len(line) for line in lines]
    rows["letters"] = [sum(map(len, re.findall(r"[^\W\d_]{2,}", line))) for line in lines]
    rows["decomposed"] = [not unicodedata.is_normalized("NFC", line) for line in lines]
    rows["composed"] = [not unicodedata.is_normalized("NFD", line) for line in lines] & ~rows["decomposed"]
    return rows


def _count_pieces(rows: npt.NDArray[np.void], lines: list[str], vocabulary: Vocabulary) -> None:
    ids = [vocabulary.encode(line.encode("utf-8", "replace").decode()) for line in lines]
    rows["pieces"] = [len(line) for line in ids]
    rows["unknown"] = [line.count(vocabulary.unk) for line in ids]
    if byte_ids := _byte_ids(vocabulary):
        rows["bytes"] = [sum(i in byte_ids for i in line) for line in ids]


@cache
def _byte_ids(vocabulary: Vocabulary) -> set[int]:
    return {i for i in range(len(vocabulary)) if re.fullmatch("<0x[0-9A-F]{2}>", vocabulary.token(i))}
