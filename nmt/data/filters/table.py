"""The table of filters: decisions about lines, pairs and corpora, and the description of what they flag."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from nmt.data.filters.statistics import MIN_CHARACTERS, MIN_LINES, Lines, Mask, Statistics, median_and_deviation

Severity = Literal["serious", "warning", "note"]

NUM_EXAMPLES = 5
NEVER = 2.0
"""A fraction that no finding reaches."""

# The second byte of a UTF-8 sequence, decoded as Latin-1 or Windows-1252.
_CONTINUATION = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_TAGS = "br|p|b|i|u|a|div|span|font|td|tr"
_MARKUP = re.compile(rf"&(?:[a-zA-Z]{{2,8}}|#[0-9]{{1,6}}|#[xX][0-9a-fA-F]{{1,5}});|</?(?:{_TAGS})\b[^<>]*>")

BLOCK_SIZE = 500
SHIFTS = (-2, -1, 1, 2)

MAX_RATIO_FACTOR = 3.0
"""Largest factor between the length ratio of a pair and the median, unless ratios vary more."""

MIN_COPIED_WORDS = 3
"""Names, numbers and short answers may be the same on both sides."""

MAX_RECURRING_WORDS = 6
"""Greetings and captions of up to this length recur naturally; longer pairs were copied."""

MIN_MARGIN = 0.25
"""Nats per character by which the model of the other side must be better. All of Multi30k's 29,000 English lines are
below −0.3, and German lines inserted among them above 0.35."""
MAX_DEVIATIONS = 5.0

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Flagged:
    """What a filter flags.

    Attributes:
        indices: of the flagged pairs, the examples first.
        side: the side that has the problem; None if the pair as a whole has it.
        subject: of the message, if it is not a number of lines or pairs.
        count, total: the numbers of the finding, if they are not those of the flagged and of all lines or pairs.
        examples: pairs that are shown in place of the first flagged ones.
        severity: replaces the one that the thresholds give.
    """

    indices: npt.NDArray[np.int64]
    side: int | None = None
    subject: str = ""
    count: int = 0
    total: int = 0
    examples: Mapping[int, tuple[str, str]] | None = None
    severity: Severity | None = None

    @classmethod
    def worst(cls, mask: Mask, badness: npt.NDArray[np.floating], side: int | None = None) -> Self:
        """Flags the pairs where ``mask`` is True, in descending order of ``badness``."""
        indices = np.flatnonzero(mask)
        return cls(indices[np.argsort(-badness[indices], kind="stable")], side)


@dataclass(frozen=True)
class Filter:
    """One kind of problem, decided by the text of a line or a pair, or by the statistics of the whole corpus.

    Attributes:
        name: of its findings, for programs.
        problem: a regular verb in the plural and its object; the subject is usually "lines" or "pairs".
        remedy: advice to the user.
        warning, serious: fractions of lines or pairs from which a finding has this severity.
        line, pair, corpus: the decision, one of the three.
    """

    name: str
    problem: str
    remedy: str
    warning: float = NEVER
    serious: float = NEVER
    line: Callable[[str], object] | None = None
    pair: Callable[[str, str], object] | None = None
    corpus: Callable[[Statistics], Iterable[Flagged]] | None = None

    def matches(self, start: int, lines: Lines) -> Iterable[tuple[int | None, list[int]]]:
        """Indices of the pairs that are flagged by their text, for each side or for the pair as a whole (None)."""
        if self.line is not None:
            for side, of_side in enumerate(lines):
                yield side, [i for i, line in enumerate(of_side, start) if self.line(line)]
        if self.pair is not None:
            yield None, [i for i, pair in enumerate(zip(*lines, strict=False), start) if self.pair(*pair)]


def plural(count: int, noun: str) -> str:
    """``1 line``, ``2,000 lines``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


invalid_utf8 = re.compile("[\udc80-\udcff]").search
mojibake = re.compile(f"[ÃÐÑ]{_CONTINUATION}|Â[\x80-\xbf]|â(?:€|\x80){_CONTINUATION}|ï¿½|ï»¿").search
replacement_character = re.compile("\ufffd").search
control_characters = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]").search
invisible_characters = re.compile("[\u200b\u2060\ufeff\u00ad]").search


def markup(line: str) -> bool:
    """Whether a line has an HTML tag or entity."""
    found = _MARKUP.search(line)
    return found is not None and (found[0][0] == "<" or html.unescape(found[0]) != found[0])


def normal_forms(statistics: Statistics) -> Iterable[Flagged]:
    """Lines in normal form D; they are a problem only where other lines are in form C."""
    for index, side in enumerate(statistics.sides):
        severity: Severity | None = None if side.lines["composed"].any() else "note"
        yield Flagged(np.flatnonzero(side.lines["decomposed"]), index, severity=severity)


def wrong_language(statistics: Statistics) -> Iterable[Flagged]:
    """Lines to which the character model of the other side gives a higher probability."""
    for index, side in enumerate(statistics.sides):
        yield Flagged.worst(_is_foreign(statistics, index), side.lines["other_score"] - side.lines["own_score"], index)


def _is_foreign(statistics: Statistics, index: int) -> Mask:
    """Lines of few letters are not judged, nor copies, nor sides whose models don't differ (paraphrases, answers)."""
    side, other = statistics.sides[index], statistics.sides[1 - index]
    lines, judged = side.lines, side.is_long()
    margin = lines["other_score"] - lines["own_score"]
    if not judged.any() or np.median(margin[judged]) >= -0.5:
        return np.zeros(len(judged), bool)
    is_prose = (lines["letters"] >= MIN_CHARACTERS) & (lines["letters"] >= 0.6 * lines["characters"])
    return np.asarray(judged & is_prose & (lines["hash"] != other.lines["hash"]) & (margin > MIN_MARGIN))


def unlike_the_rest(statistics: Statistics) -> Iterable[Flagged]:
    """Other lines whose probability is far lower than the median."""
    for index, side in enumerate(statistics.sides):
        judged, scores = side.is_long(), side.lines["own_score"]
        if judged.any():
            median, deviation = median_and_deviation(scores[judged])
            unlikely = scores < median - MAX_DEVIATIONS * max(deviation, 0.05)
            yield Flagged.worst(judged & unlikely & ~_is_foreign(statistics, index), -scores, index)


def line_counts(statistics: Statistics) -> Iterable[Flagged]:
    """The number of lines without a partner."""
    source, target = statistics.sides
    if num_extra := abs(source.num_lines - target.num_lines):
        counts = f"{source.name} has {source.num_lines:,} lines, {target.name} has {target.num_lines:,}"
        total = max(source.num_lines, target.num_lines)
        yield Flagged(np.zeros(0, np.int64), None, f"{counts}: {plural(num_extra, 'line')}", num_extra, total)


def misaligned(statistics: Statistics) -> Iterable[Flagged]:
    """Blocks whose lengths fit the lines before or after them much better than their own partners.

    The lengths of translations correlate. If one side lacks a line, they don't until the other side lacks one, too.
    """
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
        yield Flagged(np.arange(start, end), None, f"Targets {place} lines {start + 1:,} to {end:,}", examples={})


def _correlation(a: Floats, b: Floats) -> float:
    if len(a) < 2 or len(a) != len(b) or not a.std() or not b.std():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def empty(statistics: Statistics) -> Iterable[Flagged]:
    """Pairs without text on a side."""
    yield Flagged(np.flatnonzero(~statistics.has_text))


def length_ratio(statistics: Statistics) -> Iterable[Flagged]:
    """Pairs whose ratio of characters is far from the median, by a factor and by standard deviations."""
    longest = np.maximum(*(side.lines["characters"] for side in statistics.sides))
    judged = statistics.has_text & (longest >= MIN_CHARACTERS)
    if judged.sum() >= MIN_LINES:
        median, deviation = median_and_deviation(statistics.log_ratios[judged])
        distance = np.where(judged, np.abs(statistics.log_ratios - median), 0.0)
        yield Flagged.worst(distance > max(np.log(MAX_RATIO_FACTOR), 6 * deviation), distance)


def is_copy(source: str, target: str) -> bool:
    """Whether both sides have the same words, at least three of them with letters."""
    if source.split() != target.split():
        return False
    return sum(any(c.isalpha() for c in word) for word in source.split()) >= MIN_COPIED_WORDS


def duplicate_pairs(statistics: Statistics) -> Iterable[Flagged]:
    """Pairs that are equal to an earlier one."""
    indices = np.flatnonzero(statistics.has_text)
    _, first = np.unique(statistics.hashes[indices], return_index=True)
    yield Flagged(np.delete(indices, first))


def different_targets(statistics: Statistics) -> Iterable[Flagged]:
    """The number of sources with several targets."""
    indices = np.flatnonzero(statistics.has_text)
    _, first = np.unique(statistics.hashes[indices], return_index=True)
    _, num_targets = np.unique(statistics.sides[0].lines["hash"][indices[first]], return_counts=True)
    count = int((num_targets > 1).sum())
    yield Flagged(np.zeros(0, np.int64), None, plural(count, "source"), count, len(num_targets))


def test_overlap(part: str, statistics: Statistics) -> Iterable[Flagged]:
    """Pairs of which a part occurs in the test text; counts and shows pairs of the test text.

    Args:
        part: ``pairs`` or ``short pairs`` as a whole, or ``sources`` or ``targets`` of other pairs.
    """
    if (test := statistics.test) is None:
        return
    is_short = test.sides[0].lines["words"] <= MAX_RECURRING_WORDS
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
    yield Flagged(
        np.flatnonzero(np.isin(hashes, test_hashes[found])),
        subject=f"{len(found):,} of {total:,} test {noun}",
        count=len(found),
        total=total,
        examples=test.pairs.texts(found[:NUM_EXAMPLES].tolist()),
    )


def too_long(statistics: Statistics) -> Iterable[Flagged]:
    """Pairs with too many pieces on a side; without a vocabulary, with too many words."""
    count, limit = ("pieces" if statistics.sides[0].vocabulary else "words"), statistics.max_length
    indices = np.flatnonzero(np.maximum(*(side.lines[count] for side in statistics.sides)) > limit)
    yield Flagged(indices, None, f"{plural(len(indices), 'pair')} of more than {limit} {count} on a side")


def pieces(kind: str, statistics: Statistics) -> Iterable[Flagged]:
    """Lines with pieces that are UNK (``unknown``) or ``bytes``; counts the pieces."""
    for index, side in enumerate(statistics.sides):
        count, total = int(side.lines[kind].sum()), int(side.lines["pieces"].sum())
        subject = f"{side.name}: {count:,} of {total:,} pieces"
        yield Flagged(np.flatnonzero(side.lines[kind]), index, subject, count, total)


RECURRENCE = "Acceptable for sentences that recur naturally (greetings, captions); otherwise look for a leak."

# fmt: off
FILTERS = (
    Filter("line-counts", "lack a partner",
           "Line n of one must translate line n of the other: find where they start to differ, and align them again.",
           0, 0, corpus=line_counts),
    Filter("misaligned", "fit these better than their own: the files are misaligned",
           "Look for a line that is missing or split near the first of these lines, and align the files again.",
           0, 0, corpus=misaligned),
    Filter("invalid-utf8", "contain bytes that are not UTF-8",
           "Convert the file with `iconv -f ENCODING -t UTF-8`, or repair these lines; training refuses them.",
           0, 0, line=invalid_utf8),
    Filter("mojibake", "contain UTF-8 that was decoded by another encoding (Ã¼ for ü)",
           "Correct the wrong conversion, or revert it: `iconv -f UTF-8 -t WINDOWS-1252` reverts one.",
           0, 0.005, line=mojibake),
    Filter("replacement-character", "contain U+FFFD, which replaces a character that was lost",
           "Convert the original text again, or drop these lines.",
           0, 0.01, line=replacement_character),
    Filter("control-characters", "contain control characters or line separators",
           "Remove them: they become UNK or rare pieces.",
           0.001, line=control_characters),
    Filter("invisible-characters", "contain invisible characters (zero-width space, soft hyphen, byte-order mark)",
           "Remove them: they split words.",
           0.001, line=invisible_characters),
    Filter("markup", "contain HTML entities or tags (&amp; <br>)",
           "Unescape entities and strip tags before training.",
           0.001, line=markup),
    Filter("normal-forms", "contain decomposed characters (NFD: u and ¨ for ü)",
           "Normalise all text to NFC, also for translation: a model treats the two forms as different words.",
           0, corpus=normal_forms),
    Filter("test-pairs-in-train", "occur in the training text",
           "Remove them from the training text: the score on text that was trained on is too good.",
           0, 0.01, corpus=partial(test_overlap, "pairs")),
    Filter("short-test-pairs-in-train", "occur in the training text", RECURRENCE,
           0.1, corpus=partial(test_overlap, "short pairs")),
    Filter("test-sources-in-train", "occur in the training text, in other pairs", RECURRENCE,
           0.1, corpus=partial(test_overlap, "sources")),
    Filter("test-targets-in-train", "occur in the training text, in other pairs", RECURRENCE,
           0.1, corpus=partial(test_overlap, "targets")),
    Filter("empty", "lack text on a side: training drops them",
           "Nothing needs to be done, unless there should be text.",
           0.01, 0.2, corpus=empty),
    Filter("copies", "contain the same text on both sides",
           "Drop them, unless they are names or titles that stay untranslated: a model learns to copy.",
           0.01, 0.1, pair=is_copy),
    Filter("wrong-language", "look like the language of the other side",
           "Read them; drop or swap the pairs that are in the wrong language.",
           0.005, 0.1, corpus=wrong_language),
    Filter("unlike-the-rest", "differ from the rest by their characters (another language, names, or noise)",
           "Read these, which are the worst, and drop those that are not text of this language.",
           0.01, corpus=unlike_the_rest),
    Filter("length-ratio", "differ in length far more than usual (misaligned, truncated, a sentence too many)",
           "Read them, and drop those that are not translations.",
           0.01, 0.1, corpus=length_ratio),
    Filter("duplicate-pairs", "repeat an earlier one",
           "Harmless in small numbers; otherwise remove them, or training gives them too much weight.",
           0.1, 0.5, corpus=duplicate_pairs),
    Filter("different-targets", "occur with different targets",
           "Paraphrases are fine; read some if you expect one translation of each.",
           corpus=different_targets),
    Filter("too-long", "exceed data.max_length: training drops them",
           "Split them into sentences, or raise data.max_length if memory allows.",
           0.01, 0.5, corpus=too_long),
    Filter("unknown", "become UNK",
           "Use subwords with vocabulary.byte_fallback, a larger vocabulary, or text similar to the training text.",
           0.01, 0.2, corpus=partial(pieces, "unknown")),
    Filter("byte-fallback", "represent single bytes of characters that the vocabulary lacks",
           "Train the vocabulary on text that has these characters, or raise vocabulary.character_coverage.",
           0.01, 0.2, corpus=partial(pieces, "bytes")),
)
# fmt: on
"""All filters, in the order of their findings."""
