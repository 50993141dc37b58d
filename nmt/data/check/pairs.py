"""One pass over the pairs of a corpus: some numbers and hashes of each pair are kept, never the text."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.data.check.encoding import EncodingCheck
from nmt.data.check.findings import SideCounts
from nmt.data.check.language import CharacterModel
from nmt.data.text import read_lines

Pair = tuple[str | None, str | None]
"""None where one of two files has ended before the other."""

BATCH = 4000
"""Pairs whose characters are counted at once."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairSource:
    """Pairs that can be read more than once, and what messages call their sides."""

    names: tuple[str, str]
    read: Callable[[], Iterable[Pair]]


def file_pairs(source: Path | str, target: Path | str) -> PairSource:
    """The lines of two files side by side; bytes that aren't UTF-8 and different lengths are no errors here."""

    def read() -> Iterator[Pair]:
        return zip_longest(read_lines(source, keep_invalid=True), read_lines(target, keep_invalid=True))

    return PairSource((Path(source).name, Path(target).name), read)


def digest(text: str) -> int:
    """64 bits that stand for a line, white space at its ends and between its words apart."""
    content = " ".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def pair_hashes(sources: npt.NDArray[np.uint64], targets: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """64 bits for each pair, from those of its sides."""
    return sources * np.uint64(0x9E3779B97F4A7C15) + targets


class Side:
    """What is kept of one side: a length in words and in characters and a hash for each line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.encoding = EncodingCheck(name)
        self.model = CharacterModel()
        self.num_lines = 0
        self._words, self._characters, self._hashes = array("I"), array("I"), array("Q")

    def add(self, number: int, line: str) -> None:
        self.num_lines += 1
        self._words.append(len(line.split()))
        self._characters.append(len(line))
        self._hashes.append(digest(line))
        self.encoding.add(number, line)

    @property
    def words(self) -> Ints:
        return np.frombuffer(self._words, np.uint32).astype(np.int64)

    @property
    def characters(self) -> Ints:
        return np.frombuffer(self._characters, np.uint32).astype(np.int64)

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        return np.frombuffer(self._hashes, np.uint64)

    def counts(self) -> SideCounts:
        words = self.words
        return SideCounts(
            self.name,
            int(words.sum()),
            float(words.mean()),
            int(np.median(words)),
            int(words.max()),
            int(self.characters.sum()),
        )


@dataclass
class Gathered:
    """What the first pass leaves. Arrays have an entry for each whole pair, in order."""

    source: Side
    target: Side
    num_pairs: int = 0
    copies: list[int] = field(default_factory=list)
    """Lines (from 1) whose two sides are the same words."""

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.source, self.target

    @property
    def pair_hashes(self) -> npt.NDArray[np.uint64]:
        return pair_hashes(self.source.hashes, self.target.hashes)

    @property
    def not_empty(self) -> npt.NDArray[np.bool_]:
        return (self.source.words > 0) & (self.target.words > 0)


def gather(pairs: PairSource, on_progress: Callable[[int], None] = lambda lines: None) -> Gathered:
    """Read all pairs once. What one file has beyond the other's end is counted as its lines only."""
    found = Gathered(Side(pairs.names[0]), Side(pairs.names[1]))
    numbered = enumerate(pairs.read(), start=1)
    while batch := list(islice(numbered, BATCH)):
        whole_pairs = [(n, s, t) for n, (s, t) in batch if s is not None and t is not None]
        for number, source, target in whole_pairs:
            found.source.add(number, source)
            found.target.add(number, target)
            if is_copy(source, target):
                found.copies.append(number)
        found.num_pairs += len(whole_pairs)
        for number, (source_line, target_line) in batch[len(whole_pairs) :]:
            for side, line in zip(found.sides, (source_line, target_line), strict=True):
                side.num_lines += line is not None
                if line is not None:
                    side.encoding.add(number, line)
        if whole_pairs:
            found.source.model.add([source for _, source, _ in whole_pairs])
            found.target.model.add([target for _, _, target in whole_pairs])
        on_progress(len(batch))
    return found


MIN_COPIED_WORDS = 3
"""Names, numbers and short answers are rightly the same on both sides."""


def is_copy(source: str, target: str) -> bool:
    """Whether both sides say the same, in more than a few words with letters."""
    if source.split() != target.split():
        return False
    return sum(any(c.isalpha() for c in word) for word in source.split()) >= MIN_COPIED_WORDS


def texts_at(pairs: PairSource, lines: Sequence[int]) -> dict[int, tuple[str, str]]:
    """The text of some lines (from 1), read once more."""
    wanted = set(lines)
    if not wanted:
        return {}
    head = enumerate(islice(pairs.read(), max(wanted)), start=1)
    return {number: (source or "", target or "") for number, (source, target) in head if number in wanted}
