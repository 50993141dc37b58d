"""Filters that decide by the statistics of the whole corpus."""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nmt.extensions.cleaning.base import NUM_EXAMPLES, Filter, FlaggedPairs, Floats, Severity, plural
from nmt.extensions.cleaning.statistics import MIN_CHARACTERS, MIN_LINES, CorpusStatistics, Hashes, median_and_deviation

BLOCK_SIZE = 500
SHIFTS = (-2, -1, 1, 2)

MAX_RECURRING_WORDS = 6
"""Greetings and captions of up to this length recur naturally; longer pairs were copied."""


class LineCounts(Filter):
    """The number of lines without a partner."""

    problem = "lack a partner"
    remedy = "Line n of one must translate line n of the other: find where they start to differ, and align them again."
    warning = serious = 0
    removes = False

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        source, target = statistics.sides
        if num_extra := abs(source.num_lines - target.num_lines):
            counts = f"{source.name} has {source.num_lines:,} lines, {target.name} has {target.num_lines:,}"
            total = max(source.num_lines, target.num_lines)
            yield FlaggedPairs(np.zeros(0, np.int64), None, f"{counts}: {plural(num_extra, 'line')}", num_extra, total)


class Misaligned(Filter):
    """Blocks whose lengths fit the lines before or after them much better than their own partners.

    The lengths of translations correlate. If one side lacks a line, they don't until the other side lacks one, too.
    """

    problem = "fit these better than their own: the files are misaligned"
    remedy = "Look for a line that is missing or split near the first of these lines, and align the files again."
    warning = serious = 0
    removes = False

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        source, target = (np.log1p(side.lines["characters"].astype(np.float64)) for side in statistics.sides)
        blocks: list[tuple[int, int, int]] = []
        for start in range(2, len(source) - BLOCK_SIZE // 2, BLOCK_SIZE):
            end = min(start + BLOCK_SIZE, len(source) - 2)
            unshifted = _correlation(source[start:end], target[start:end])
            best, shift = max((_correlation(source[start:end], target[start + n : end + n]), n) for n in SHIFTS)
            if best > 0.5 and best > unshifted + 0.3:
                if blocks and blocks[-1][1:] == (start, shift):
                    start = blocks.pop()[0]
                blocks.append((start, end, shift))
        for start, end, shift in blocks:
            place = f"{plural(abs(shift), 'line')} {'after' if shift > 0 else 'before'}"
            yield FlaggedPairs(
                np.arange(start, end), None, f"Targets {place} lines {start + 1:,} to {end:,}", examples={}
            )


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() and b.std() else 0.0


class NormalForms(Filter):
    """Lines in normal form D; they are a problem only where other lines are in form C."""

    problem = "contain decomposed characters (NFD: u and ¨ for ü)"
    remedy = "Normalise all text to NFC, also for translation: a model treats the two forms as different words."
    warning = 0
    removes = False

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for index, side in enumerate(statistics.sides):
            severity: Severity | None = None if side.lines["composed"].any() else "note"
            yield FlaggedPairs(np.flatnonzero(side.lines["decomposed"]), index, severity=severity)


class TestOverlap(Filter):
    """Pairs of which a part occurs in the test text; counts and shows test pairs, by side those not there whole."""

    problem = "occur in the training text"
    remedy = "Acceptable for sentences that recur naturally (greetings, captions); otherwise look for a leak."
    warning = 0.1
    removes = False
    part: ClassVar[str]
    """``pairs`` or ``short pairs`` as a whole, or ``sources`` or ``targets`` of other pairs."""

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        if (test := statistics.test) is None:
            return
        part, is_short = self.part, test.sides[0].lines["units"] <= MAX_RECURRING_WORDS
        if part in ("pairs", "short pairs"):
            hashes, test_hashes = statistics.hashes, test.hashes
            counted = is_short if part == "short pairs" else ~is_short
        else:
            side = ("sources", "targets").index(part)
            hashes, test_hashes = (corpus.sides[side].lines["hash"] for corpus in (statistics, test))
            counted = ~np.isin(test.hashes, statistics.hashes)
        found = np.flatnonzero(test.has_text & counted & np.isin(test_hashes, hashes))
        total = int(test.has_text.sum())
        noun = f"pairs of up to {MAX_RECURRING_WORDS} words" if part == "short pairs" else part
        yield FlaggedPairs(
            np.flatnonzero(np.isin(hashes, test_hashes[found if "pairs" in part else test.has_text])),
            subject=f"{len(found):,} of {total:,} test {noun}",
            count=len(found),
            total=total,
            examples=test.pairs.texts(found[:NUM_EXAMPLES].tolist()),
        )


class TestPairs(TestOverlap):
    remedy = "Remove them from the training text: the score on text that was trained on is too good."
    warning, serious = 0, 0.01
    removes = True
    part = "pairs"


class ShortTestPairs(TestOverlap):
    part = "short pairs"


class TestSources(TestOverlap):
    problem = "occur in the training text, in other pairs"
    part = "sources"


class TestTargets(TestSources):
    part = "targets"


class Empty(Filter):
    """Pairs without text on a side."""

    problem = "lack text on a side: training drops them"
    remedy = "Nothing needs to be done, unless there should be text."
    warning, serious = 0.01, 0.2

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        yield FlaggedPairs(np.flatnonzero(~statistics.has_text))


class FewLetters(Filter):
    """Lines that consist mostly of digits, punctuation and symbols: tables, code."""

    class Options(Filter.Options):
        limit: float = Field(0.6, gt=0, lt=1, description="fraction of characters that are not letters of words")
        min_characters: int = Field(10, ge=1, description="length from which a line is judged")

    problem = "consist mostly of digits, punctuation or symbols"
    remedy = "Drop them, unless the model is to translate tables and code."
    warning, serious = 0.01, 0.2

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for index, side in enumerate(statistics.sides):
            characters = side.lines["characters"]
            others = 1 - side.lines["letters"] / np.maximum(characters, 1)
            yield FlaggedPairs.above(others, self.options.limit, index, characters >= self.options.min_characters)


class WrongLanguage(Filter):
    """Lines to which the character model of the other side gives a higher probability.

    Lines of few letters are not judged, nor copies, nor sides whose models don't differ (paraphrases, answers).
    """

    class Options(Filter.Options):
        # All of Multi30k's 29,000 English lines are below −0.3, and German lines inserted among them above 0.35.
        limit: float = Field(0.25, description="nats per character by which the model of the other side is better")

    problem = "look like the language of the other side"
    remedy = "Read them; drop or swap the pairs that are in the wrong language."
    warning, serious = 0.005, 0.1

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for index, side in enumerate(statistics.sides):
            other, lines, judged = statistics.sides[1 - index], side.lines, side.is_long()
            margin = lines["other_score"] - lines["own_score"]
            if not judged.any() or np.median(margin[judged]) >= -0.5:
                continue
            is_prose = (lines["letters"] >= MIN_CHARACTERS) & (lines["letters"] >= 0.6 * lines["characters"])
            judged = judged & is_prose & (lines["hash"] != other.lines["hash"])
            yield FlaggedPairs.above(margin, self.options.limit, index, judged)


class UnlikeTheRest(Filter):
    """Lines whose probability by the character model of their side is far lower than the median."""

    class Options(Filter.Options):
        limit: float = Field(5.0, ge=1, description="standard deviations below the median log probability")

    problem = "differ from the rest by their characters (another language, names, or noise)"
    remedy = "Read these, which are the worst, and drop those that are not text of this language."
    warning = 0.01

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for index, side in enumerate(statistics.sides):
            judged, scores = side.is_long(), side.lines["own_score"]
            if judged.any():
                median, deviation = median_and_deviation(scores[judged])
                yield FlaggedPairs.above((median - scores) / max(deviation, 0.05), self.options.limit, index, judged)


class LengthRatio(Filter):
    """Pairs whose ratio of characters is far from the median, by standard deviations and by a factor."""

    class Options(Filter.Options):
        limit: float = Field(4.0, ge=1, description="standard deviations of the log ratio from its median")
        factor: float = Field(1.5, ge=1, description="smallest factor between a ratio and the median")

    problem = "differ in length far more than usual (misaligned, truncated, a sentence too many)"
    remedy = "Read them, and drop those that are not translations."
    warning, serious = 0.01, 0.1

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        longest = np.maximum(*(side.lines["characters"] for side in statistics.sides))
        judged = statistics.has_text & (longest >= MIN_CHARACTERS)
        if judged.sum() >= MIN_LINES:
            median, deviation = median_and_deviation(statistics.log_ratios[judged])
            deviation = max(deviation, float(np.log(self.options.factor)) / self.options.limit)
            yield FlaggedPairs.above(
                np.abs(statistics.log_ratios - median) / deviation, self.options.limit, judged=judged
            )


class DuplicatePairs(Filter):
    """Pairs that are equal to an earlier one."""

    problem = "repeat an earlier one"
    remedy = "Harmless in small numbers; otherwise remove them, or training gives them too much weight."
    warning, serious = 0.1, 0.5

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        yield FlaggedPairs(_repeated(statistics, statistics.hashes, statistics.earlier[0]))


class NearDuplicates(DuplicatePairs):
    """Pairs that are equal to an earlier one apart from case and punctuation."""

    problem = "repeat an earlier one apart from case and punctuation"

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        exact = _repeated(statistics, statistics.hashes, statistics.earlier[0])
        yield FlaggedPairs(np.setdiff1d(_repeated(statistics, statistics.keys, statistics.earlier[1]), exact))


def _repeated(statistics: CorpusStatistics, hashes: Hashes, earlier: Hashes) -> npt.NDArray[np.int64]:
    """Indices of pairs with text whose hash another one before them has, or one of the earlier shards."""
    indices = np.flatnonzero(statistics.has_text)
    distinct, first = np.unique(hashes[indices], return_index=True)
    is_repeated = np.ones(len(indices), bool)
    is_repeated[first] = np.isin(distinct, earlier)
    return indices[is_repeated]


class DifferentTargets(Filter):
    """The number of sources with several targets."""

    problem = "occur with different targets"
    remedy = "Paraphrases are fine; read some if you expect one translation of each."
    removes = False

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        indices = np.flatnonzero(statistics.has_text)
        _, first = np.unique(statistics.hashes[indices], return_index=True)
        _, num_targets = np.unique(statistics.sides[0].lines["hash"][indices[first]], return_counts=True)
        count = int((num_targets > 1).sum())
        yield FlaggedPairs(np.zeros(0, np.int64), None, plural(count, "source"), count, len(num_targets))


class TooLong(Filter):
    """Pairs with too many pieces on a side; without a vocabulary, with too many words."""

    problem = "exceed data.max_length: training drops them"
    remedy = "Split them into sentences, or raise data.max_length if memory allows."
    warning, serious = 0.01, 0.5

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        count, limit = ("pieces" if statistics.sides[0].vocabulary else "words"), statistics.max_length
        longest = np.maximum(*(side.lines[count] for side in statistics.sides))
        flagged = np.flatnonzero(longest > limit)
        yield FlaggedPairs(flagged, None, f"{plural(len(flagged), 'pair')} of more than {limit} {count} on a side")


class Pieces(Filter):
    """Lines with pieces of a kind; counts the pieces."""

    warning, serious = 0.01, 0.2
    removes = False
    column: ClassVar[str]

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for index, side in enumerate(statistics.sides):
            count, total = int(side.lines[self.column].sum()), int(side.lines["pieces"].sum())
            subject = f"{side.name}: {count:,} of {total:,} pieces"
            yield FlaggedPairs(np.flatnonzero(side.lines[self.column]), index, subject, count, total)


class Unknown(Pieces):
    problem = "become UNK"
    remedy = "Use subwords with vocabulary.byte_fallback, a larger vocabulary, or text similar to the training text."
    column = "unknown"


class ByteFallback(Pieces):
    problem = "represent single bytes of characters that the vocabulary lacks"
    remedy = "Train the vocabulary on text that has these characters, or raise vocabulary.character_coverage."
    column = "bytes"
