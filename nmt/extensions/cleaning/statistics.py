"""Parallel text as the filters read it: lines in batches, and statistics of each line and of the whole corpus."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.core.text import WORD, read_lines
from nmt.data.vocabulary.base import BYTE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import MARKS

BATCH_SIZE = 4000
MIN_CHARACTERS = 20
"""Shorter lines are not judged by their length or language."""
MIN_LINES = 500
"""Fewer don't show which lengths and probabilities are usual."""

LINE = np.dtype(
    [("hash", "u8"), ("key", "u8"), ("composed", "?"), ("decomposed", "?"), ("own_score", "f4"), ("other_score", "f4")]
    + [(count, "u4") for count in ("words", "units", "characters", "letters", "pieces", "unknown", "bytes")]
)
"""Statistics of a line: a hash that ignores white space; one that ignores case and punctuation, too; whether it has the
normal form C or D, if these differ; the mean log probability of a character by the models of this side and the other
one; numbers of words between spaces, of those of :data:`nmt.core.text.WORD`, of characters, of letters in words of two
letters or more, of pieces, and of UNK and bytes among them."""

NUM_SLOTS = 1 << 20
"""Number of counts, which are indexed by hashes so that memory doesn't grow with the text."""

WORDS = re.compile(rf"[\w{MARKS}]+")
_LETTERS = re.compile(rf"[^\W\d_](?:[^\W\d_]|[{MARKS}\u200c\u200d])+")

SMOOTHING = 0.02
"""Added to the count of each of NUM_OUTCOMES characters that can follow a context."""
NUM_OUTCOMES = 64

Progress = Callable[[int], None]
Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
PairHashes = tuple[Hashes, Hashes]
"""Hashes of pairs with text, exact ones and those that ignore case and punctuation."""
NO_HASHES: PairHashes = (np.zeros(0, np.uint64), np.zeros(0, np.uint64))
Lines = tuple[list[str], list[str]]
"""Consecutive lines of both sides; in the last batches, one side can have more lines than the other."""


@dataclass(frozen=True)
class PairSource:
    """Parallel text that can be read repeatedly; a line is None where the other file is longer."""

    names: tuple[str, str]
    read: Callable[[], Iterable[tuple[str | None, str | None]]]

    def batches(self, on_progress: Progress) -> Iterator[tuple[int, Lines]]:
        """Read all lines: the index of the first, and the lines. ``on_progress`` is called with their number."""
        start, rows = 0, iter(self.read())
        while batch := list(islice(rows, BATCH_SIZE)):
            source, target = ([line for line in side if line is not None] for side in zip(*batch, strict=True))
            yield start, (source, target)
            start += len(batch)
            on_progress(len(batch))

    def texts(self, indices: Iterable[int]) -> dict[int, tuple[str, str]]:
        """Read the pairs with the given indices, counted from 0."""
        wanted = set(indices)
        head = enumerate(islice(self.read(), max(wanted, default=-1) + 1))
        return {index: (source or "", target or "") for index, (source, target) in head if index in wanted}


def file_pairs(source: Path | str, target: Path | str) -> PairSource:
    """The lines of two files, which may have invalid UTF-8 and different lengths."""

    return PairSource(
        (Path(source).name, Path(target).name),
        lambda: zip_longest(read_lines(source, keep_invalid=True), read_lines(target, keep_invalid=True)),
    )


class CharacterModel:
    """A character trigram model, which identifies languages by the corpus itself (Cavnar & Trenkle 1994).

    Each side of a corpus has a model. A line to which the other side's model gives a higher probability is in the wrong
    language; one whose probability is far lower than that of the rest is in a third language, or is noise.
    """

    def __init__(self) -> None:
        self._trigrams = np.zeros(NUM_SLOTS, np.int64)
        self._bigrams = np.zeros(NUM_SLOTS, np.int64)

    def add(self, lines: Sequence[str]) -> None:
        """Count the trigrams of the lines."""
        trigrams, bigrams, _ = _hashes(lines)
        self._trigrams += np.bincount(trigrams, minlength=NUM_SLOTS)
        self._bigrams += np.bincount(bigrams, minlength=NUM_SLOTS)

    def log_probabilities(self, lines: Sequence[str], counted: bool) -> npt.NDArray[np.float64]:
        """Mean log probability of a character, in nats, for each line.

        Args:
            counted: whether the lines were added before; each is then left out of the counts.
        """
        trigrams, bigrams, starts = _hashes(lines)
        left_out = 1 if counted else 0
        top = np.maximum(self._trigrams[trigrams] - left_out, 0) + SMOOTHING
        bottom = np.maximum(self._bigrams[bigrams] - left_out, 0) + SMOOTHING * NUM_OUTCOMES
        lengths = np.diff(np.append(starts, len(trigrams)))
        sums: npt.NDArray[np.float64] = np.add.reduceat(np.log(top / bottom), starts)
        return sums / lengths


def _hashes(lines: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hashes of all trigrams (a line has two marks before and one after it) and their contexts; starts of the lines."""
    padded = [f"\n\n{line.lower()}\n" for line in lines]
    lengths = np.array([len(line) for line in padded])
    text = "".join(padded).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(text, np.uint32).astype(np.uint64)
    bigrams = codes[:-2] * np.uint64(0x9E3779B97F4A7C15) + codes[1:-1] * np.uint64(0xC2B2AE3D27D4EB4F)
    trigrams = bigrams + codes[2:] * np.uint64(0x165667B19E3779F9)
    # Trigrams that begin with the last two characters of a line would extend into the next line.
    inside = np.ones(len(trigrams), bool)
    ends = np.cumsum(lengths)[:-1]
    inside[ends - 2], inside[ends - 1] = False, False
    starts = np.append(0, np.cumsum(lengths - 2)[:-1])
    shift = np.uint64(64 - 20)
    return (trigrams[inside] >> shift).astype(np.int64), (bigrams[inside] >> shift).astype(np.int64), starts


class Side:
    """Statistics of one side of a corpus."""

    def __init__(self, name: str, vocabulary: Vocabulary | None) -> None:
        self.name, self.vocabulary, self.model = name, vocabulary, CharacterModel()
        self.num_lines = 0
        """Including lines without a partner."""
        self.lines = np.zeros(0, LINE)
        """An entry for each pair."""
        self.characters: Counter[str] = Counter()

    def is_long(self) -> Mask:
        """True for lines that are long enough to be judged, if there are enough of them."""
        mask = self.lines["characters"] >= MIN_CHARACTERS
        return np.asarray(mask & (mask.sum() >= MIN_LINES))


class CorpusStatistics:
    """Statistics of a corpus. The constructor reads it once; the scores of the character models need a second pass."""

    def __init__(
        self,
        pairs: PairSource,
        test: "CorpusStatistics | None" = None,
        vocabularies: Vocabularies | None = None,
        max_length: int = 150,
        on_progress: Progress = lambda num_lines: None,
    ) -> None:
        self.pairs, self.test, self.max_length = pairs, test, max_length
        self.earlier = NO_HASHES
        """Hashes of the corpus that this one continues; they repeat nothing, but can be repeated."""
        source, target = (None, None) if vocabularies is None else (vocabularies.source, vocabularies.target)
        self.sides = (Side(pairs.names[0], source), Side(pairs.names[1], target))
        described = [[side.lines] for side in self.sides]
        for _, lines in pairs.batches(on_progress):
            num_pairs = min(map(len, lines))
            for side, rows, own in zip(self.sides, described, lines, strict=True):
                side.num_lines += len(own)
                if num_pairs:
                    rows.append(_describe(own[:num_pairs], side.vocabulary))
                    side.model.add(own[:num_pairs])
                    side.characters.update("".join(own[:num_pairs]))
        for side, rows in zip(self.sides, described, strict=True):
            side.lines = np.concatenate(rows)
        self.num_pairs = len(self.sides[0].lines)

    def scores(self, lines: Lines) -> npt.NDArray[np.float32]:
        """Returns the scores of a batch by the character models of its own and of the other side, for both sides.
        [4, pairs]"""
        if not (num_pairs := min(map(len, lines))):
            return np.zeros((4, 0), np.float32)
        source, target = (side.model for side in self.sides)
        models = ((source, 0, True), (target, 0, False), (target, 1, True), (source, 1, False))
        return np.array(
            [model.log_probabilities(lines[side][:num_pairs], counted=own) for model, side, own in models], np.float32
        )

    def put_scores(self, scores: npt.NDArray[np.generic]) -> None:
        """Takes the :meth:`scores` of all batches."""
        for side, (own, other) in zip(self.sides, scores.reshape(2, 2, -1), strict=True):
            side.lines["own_score"], side.lines["other_score"] = own, other

    @property
    def has_text(self) -> Mask:
        """True for pairs without an empty side."""
        mask: Mask = (self.sides[0].lines["words"] > 0) & (self.sides[1].lines["words"] > 0)
        return mask

    @property
    def hashes(self) -> Hashes:
        """A hash of each pair."""
        return _of_pairs(*(side.lines["hash"] for side in self.sides))

    @property
    def keys(self) -> Hashes:
        """A hash of each pair that ignores case and punctuation."""
        return _of_pairs(*(side.lines["key"] for side in self.sides))

    @property
    def log_ratios(self) -> npt.NDArray[np.float64]:
        """Logarithm of target characters per source character; 0 for pairs with an empty side."""
        source, target = (np.maximum(side.lines["characters"], 1) for side in self.sides)
        return np.where(self.has_text, np.log(target / source), 0.0)


def median_and_deviation(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Median and standard deviation of most values; outliers don't change them, as both come from quartiles."""
    low, median, high = np.percentile(values, (25, 50, 75))
    return median, (high - low) / 1.349


def _describe(lines: list[str], vocabulary: Vocabulary | None) -> npt.NDArray[np.void]:
    rows = np.zeros(len(lines), LINE)
    rows["hash"] = list(map(_exact, lines))
    rows["key"] = list(map(_key, lines))
    rows["words"] = [len(line.split()) for line in lines]
    rows["units"] = [len(WORD.findall(line)) for line in lines]
    rows["characters"] = [len(line) for line in lines]
    rows["letters"] = [sum(map(len, _LETTERS.findall(line))) for line in lines]
    rows["decomposed"] = [not unicodedata.is_normalized("NFC", line) for line in lines]
    rows["composed"] = [not unicodedata.is_normalized("NFD", line) for line in lines] & ~rows["decomposed"]
    if vocabulary is not None:
        ids, byte_ids = list(map(vocabulary.encode, lines)), _byte_ids(vocabulary)
        rows["pieces"] = [len(line) for line in ids]
        rows["unknown"] = [line.count(vocabulary.unk) for line in ids]
        rows["bytes"] = [sum(i in byte_ids for i in line) for line in ids]
    return rows


def pair_hashes(pairs: PairSource) -> PairHashes:
    """The hashes of the pairs with text, as :class:`CorpusStatistics` has them."""
    batches: list[list[Hashes]] = [list(NO_HASHES)]
    for _, lines in pairs.batches(lambda num_lines: None):
        with_text = [pair for pair in zip(*lines, strict=False) if pair[0].split() and pair[1].split()]
        sides = [[pair[side] for pair in with_text] for side in (0, 1)]
        kinds = [[np.array([*map(of_line, side)], np.uint64) for side in sides] for of_line in (_exact, _key)]
        batches.append([_of_pairs(*hashes) for hashes in kinds])
    exact, keys = map(np.concatenate, zip(*batches, strict=True))
    return exact, keys


def _of_pairs(source: Hashes, target: Hashes) -> Hashes:
    return np.asarray(source * np.uint64(0x9E3779B97F4A7C15) + target)


def _exact(line: str) -> int:
    return _hash(line.split())


def _key(line: str) -> int:
    return _hash(WORDS.findall(line.casefold()))


def _hash(words: list[str]) -> int:
    content = " ".join(words).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


@cache
def _byte_ids(vocabulary: Vocabulary) -> set[int]:
    return {i for i in range(len(vocabulary)) if BYTE.fullmatch(vocabulary.token(i))}
