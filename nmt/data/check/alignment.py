"""Do the two sides fit? Lengths, places where one file has slipped against the other, and languages."""

import re

import numpy as np
import numpy.typing as npt

from nmt.data.check.findings import NUM_EXAMPLES, Finding, graded, per_cent, plural
from nmt.data.check.language import outliers
from nmt.data.check.pairs import BATCH, Gathered, PairSource, texts_at
from nmt.data.check.suspects import Suspects

MIN_CHARACTERS = 20
"""Shorter lines say little about lengths and languages."""

MAX_RATIO_FACTOR = 3.0
"""How far a pair's ratio of lengths may be from the usual one, as a factor; wider where ratios vary much."""

MIN_PAIRS = 500
"""Fewer don't tell what is usual in a file."""

BLOCK = 500
SHIFTS = (-2, -1, 1, 2)
OTHER_LANGUAGE = 0.25
"""By so many nats a character the other side's model must be better. Of Multi30k's 29,000 English lines all are below
−0.3, and German lines put among them above 0.35."""
THIRD_LANGUAGE_DEVIATIONS = 5.0

_LETTERS = re.compile(r"[^\W\d_]{2,}")

Floats = npt.NDArray[np.float64]


def log_ratios(gathered: Gathered) -> Floats:
    """log of target over source characters; 0 for pairs with an empty side."""
    source, target = (np.maximum(side.characters, 1) for side in gathered.sides)
    return np.where(gathered.not_empty, np.log(target / source), 0.0)


def median_ratio(gathered: Gathered) -> float:
    """Characters of the target for each of the source, in the middle of all pairs."""
    ratios = log_ratios(gathered)[gathered.not_empty]
    return float(np.exp(np.median(ratios))) if len(ratios) else 0.0


def ratio_suspects(gathered: Gathered) -> Suspects:
    """Pairs whose lengths don't fit, the worst first."""
    longest = np.maximum(*(side.characters for side in gathered.sides))
    judged = gathered.not_empty & (longest >= MIN_CHARACTERS)
    if judged.sum() < MIN_PAIRS:
        return Suspects()
    ratios = log_ratios(gathered)
    low, middle, high = np.percentile(ratios[judged], (25, 50, 75))
    # In numbers of six standard deviations nothing is far off any more but what is wrong.
    limit = max(np.log(MAX_RATIO_FACTOR), 6 * (high - low) / 1.349)
    badness = np.where(judged, np.abs(ratios - middle), 0.0)
    return Suspects.worst(np.flatnonzero(badness > limit), badness)


def slipped(gathered: Gathered) -> list[tuple[int, int, int]]:
    """Blocks whose lengths fit the lines before or after far better than their own: first line, last line, shift.

    In translations long sentences stand beside long ones: the lengths correlate. Where a line is missing on one side
    they stop to do so, until a line is missing on the other side.
    """
    source, target = (np.log1p(side.characters.astype(np.float64)) for side in gathered.sides)
    found: list[tuple[int, int, int]] = []
    for start in range(2, len(source) - BLOCK // 2, BLOCK):
        stop = min(start + BLOCK, len(source) - 2)
        at_home = _correlation(source[start:stop], target[start:stop])
        best, shift = max(
            (_correlation(source[start:stop], target[start + shift : stop + shift]), shift) for shift in SHIFTS
        )
        if best > 0.5 and best > at_home + 0.3:
            if found and found[-1][1] == start and found[-1][2] == shift:
                found[-1] = (found[-1][0], stop, shift)
            else:
                found.append((start + 1, stop, shift))
    return found


def _correlation(a: Floats, b: Floats) -> float:
    if len(a) < 2 or len(a) != len(b) or not a.std() or not b.std():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def slip_findings(gathered: Gathered) -> list[Finding]:
    """What :func:`slipped` found, in words."""
    found = []
    for first, last, shift in slipped(gathered):
        way = f"{abs(shift)} line{'s' if abs(shift) > 1 else ''} {'later' if shift > 0 else 'earlier'}"
        found.append(
            Finding(
                "misaligned",
                "serious",
                f"Around lines {first:,} to {last:,} the target fits the source {way} better: the files have slipped.",
                "Look for a line missing or split near the first of these lines, and align the files anew.",
                last - first + 1,
                (last - first + 1) / gathered.num_pairs,
            )
        )
    return found


class LanguageCheck:
    """Scores each line by the models of both sides, in a second pass."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        self._own: tuple[list[Floats], list[Floats]] = ([], [])
        self._other: tuple[list[Floats], list[Floats]] = ([], [])
        self._is_prose: tuple[list[bool], list[bool]] = ([], [])

    def add(self, batch: list[tuple[str, str]]) -> None:
        """The next whole pairs, at most BATCH."""
        assert len(batch) <= BATCH
        sides = self._gathered.sides
        for index, lines in enumerate(zip(*batch, strict=True)):
            self._own[index].append(sides[index].model.log_probabilities(lines, counted=True).astype(np.float32))
            self._other[index].append(sides[1 - index].model.log_probabilities(lines, counted=False).astype(np.float32))
            self._is_prose[index].extend(_is_prose(*pair[:: 1 - 2 * index]) for pair in batch)

    def suspects(self) -> list[tuple[str, int, Suspects]]:
        """Lines in the language of the other side, and lines unlike all others: kind, side (0 or 1), lines."""
        found: list[tuple[str, int, Suspects]] = []
        if self._gathered.num_pairs < MIN_PAIRS:
            return found
        judged = [side.characters >= MIN_CHARACTERS for side in self._gathered.sides]
        leads = [np.concatenate(other) - np.concatenate(own) for own, other in zip(self._own, self._other, strict=True)]
        for index in (0, 1):
            own, is_judged = np.concatenate(self._own[index]), judged[index]
            if is_judged.sum() < MIN_PAIRS:
                continue
            foreign = np.zeros(len(own), bool)
            # Where both sides are one language (answers, paraphrases) the models can't tell them apart.
            if np.median(leads[index][is_judged]) < -0.5:
                foreign = is_judged & np.array(self._is_prose[index]) & (leads[index] > OTHER_LANGUAGE)
                found.append(("wrong-language", index, Suspects.worst(np.flatnonzero(foreign), leads[index])))
            lines = np.flatnonzero(is_judged)
            odd = lines[outliers(own[lines], THIRD_LANGUAGE_DEVIATIONS)]
            found.append(("unlike-the-rest", index, Suspects.worst(odd[~foreign[odd]], -own)))
        return found


def _is_prose(line: str, partner: str) -> bool:
    """Whether a line has enough words to tell a language by: not a number, not spelt out, not a name kept as it is."""
    letters = sum(map(len, _LETTERS.findall(line)))
    return letters >= MIN_CHARACTERS and letters >= 0.6 * len(line) and line.split() != partner.split()


_LANGUAGE_TEXTS = {
    "wrong-language": (
        "look like the language of {other}",
        "Read them; drop or swap the pairs that are in the wrong language.",
        (0.005, 0.1),
    ),
    "unlike-the-rest": (
        "have characters in an order unlike the rest (another language, names, or noise)",
        "Read the worst, shown here; drop what is no text of this language.",
        (0.01, 2.0),
    ),
}
"""What is wrong, what to do, and the shares from which it is a warning and serious."""


def suspect_findings(gathered: Gathered, language: LanguageCheck, pairs: PairSource) -> list[Finding]:
    """Copies, lines in the wrong language and pairs whose lengths don't fit, with their text."""
    copies = Suspects(tuple(gathered.copies[:NUM_EXAMPLES]), len(gathered.copies))
    by_ratio, by_language = ratio_suspects(gathered), language.suspects()
    lines = [line for suspects in (copies, by_ratio, *(s for _, _, s in by_language)) for line in suspects.lines]
    texts = texts_at(pairs, lines)
    found = [_copies(copies, gathered, texts)]
    for kind, index, suspects in by_language:
        found.append(_language(kind, index, suspects, gathered, texts))
    found.append(_ratio(by_ratio, gathered, texts))
    return [finding for finding in found if finding.count]


Texts = dict[int, tuple[str, str]]


def _copies(suspects: Suspects, gathered: Gathered, texts: Texts) -> Finding:
    share = suspects.count / gathered.num_pairs
    return Finding(
        "copies",
        graded(share, 0.01, 0.1),
        f"{plural(suspects.count, 'pair')} ({per_cent(share)}) with the same text on both sides.",
        "Drop them, unless names and titles really stay as they are: a model learns to copy.",
        suspects.count,
        share,
        suspects.examples({line: (text[0], "") for line, text in texts.items()}),
    )


def _language(kind: str, index: int, suspects: Suspects, gathered: Gathered, texts: Texts) -> Finding:
    name, other = gathered.sides[index].name, gathered.sides[1 - index].name
    what, remedy, limits = _LANGUAGE_TEXTS[kind]
    share = suspects.count / gathered.num_pairs
    return Finding(
        kind,
        graded(share, *limits),
        f"{name}: {plural(suspects.count, 'line')} ({per_cent(share)}) {what.format(other=other)}.",
        remedy,
        suspects.count,
        share,
        suspects.examples({line: (text[index], "") for line, text in texts.items()}),
    )


def _ratio(suspects: Suspects, gathered: Gathered, texts: Texts) -> Finding:
    share = suspects.count / gathered.num_pairs
    return Finding(
        "length-ratio",
        graded(share, 0.01, 0.1),
        f"{plural(suspects.count, 'pair')} ({per_cent(share)}) whose lengths don't fit: misaligned, cut, or with a "
        "sentence too many.",
        "Read them; drop what doesn't translate its other side.",
        suspects.count,
        share,
        suspects.examples(texts),
    )
