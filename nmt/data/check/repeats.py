"""Lines that are there more than once: within a corpus, and in training and test text at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.data.check.findings import NUM_EXAMPLES, Example, Finding, graded, pair_text, per_cent, plural
from nmt.data.check.pairs import Gathered, PairSource, digest, pair_hashes, texts_at

LEAK_REMEDY = "Take them out of the training text: the score on what a model has seen is not the score it earns."

MAX_RECURRING_WORDS = 6
"""Greetings and captions of so many words recur by themselves; longer pairs have been copied."""

Hashes = npt.NDArray[np.uint64]


def repeat_findings(gathered: Gathered, pairs: PairSource) -> list[Finding]:
    """Pairs that repeat earlier ones, and sources with more than one target."""
    lines = np.flatnonzero(gathered.not_empty)
    sources, both = gathered.source.hashes[lines], gathered.pair_hashes[lines]
    repeated = np.flatnonzero(~_is_first(both))
    unique = _is_first(both)
    _, count_of = np.unique(sources[unique], return_counts=True)
    num_ambiguous = int((count_of > 1).sum())
    found = []
    total = max(len(lines), 1)
    if len(repeated):
        share = len(repeated) / total
        found.append(
            Finding(
                "duplicate-pairs",
                graded(share, 0.1, 0.5),
                f"{plural(len(repeated), 'pair')} ({per_cent(share)}) {_verb(len(repeated), 'repeat')} an earlier one.",
                "Harmless in small numbers; otherwise `sort -u` on the pasted files, or training leans towards them.",
                len(repeated),
                share,
                _examples((lines[repeated[:NUM_EXAMPLES]] + 1).tolist(), pairs),
            )
        )
    if num_ambiguous:
        share = num_ambiguous / max(len(count_of), 1)
        found.append(
            Finding(
                "different-targets",
                "note",
                f"{plural(num_ambiguous, 'source')} ({per_cent(share)}) {_verb(num_ambiguous, 'stand')} with "
                "different targets.",
                "Paraphrases are fine; read some if you expect one translation each.",
                num_ambiguous,
                share,
            )
        )
    return found


def _is_first(hashes: Hashes) -> npt.NDArray[np.bool_]:
    first = np.zeros(len(hashes), bool)
    first[np.unique(hashes, return_index=True)[1]] = True
    return first


def overlap_findings(gathered: Gathered, test: PairSource) -> list[Finding]:
    """Test pairs that training has seen: whole ones, and by one side only. Empty lines don't count."""
    pairs = enumerate(((source or "", target or "") for source, target in test.read()), start=1)
    text = {number: pair for number, pair in pairs if pair[0].strip() and pair[1].strip()}
    lines = np.array(list(text), np.int64)
    if not len(lines):
        return []
    sources, targets = (np.array([digest(pair[side]) for pair in text.values()], np.uint64) for side in (0, 1))
    whole = np.isin(pair_hashes(sources, targets), gathered.pair_hashes)
    is_long = np.array([len(source.split()) > MAX_RECURRING_WORDS for source, _ in text.values()])
    seen_source, seen_target = (
        np.isin(hashes, side.hashes) & ~whole for hashes, side in zip((sources, targets), gathered.sides, strict=True)
    )
    checks = [
        _Overlap("test-pairs-in-train", "pairs", whole & is_long, LEAK_REMEDY, (0.0, 0.01)),
        _Overlap("short-test-pairs-in-train", f"pairs of up to {MAX_RECURRING_WORDS} words", whole & ~is_long),
        _Overlap("test-sources-in-train", f"sources ({test.names[0]})", seen_source),
        _Overlap("test-targets-in-train", f"targets ({test.names[1]})", seen_target),
    ]
    return [check.finding(lines, text) for check in checks if check.seen.any()]


@dataclass(frozen=True)
class _Overlap:
    """A kind of overlap, and which of the test's lines show it."""

    check: str
    what: str
    seen: npt.NDArray[np.bool_]
    remedy: str = "Fine where sentences recur by nature (greetings, captions); else look for a leak."
    limits: tuple[float, float] = (0.1, 2.0)

    def finding(self, lines: npt.NDArray[np.int64], text: dict[int, tuple[str, str]]) -> Finding:
        where = lines[self.seen].tolist()
        share = len(where) / len(lines)
        verb = _verb(len(where), "stand")
        alone = "" if "pairs" in self.what else ", beside something else"
        return Finding(
            self.check,
            graded(share, *self.limits),
            f"{len(where):,} of {len(lines):,} test {self.what} ({per_cent(share)}) "
            f"{verb} in the training text{alone}.",
            self.remedy,
            len(where),
            share,
            tuple(Example(line, pair_text(*text[line])) for line in where[:NUM_EXAMPLES]),
        )


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb


def _examples(lines: Sequence[int], pairs: PairSource) -> tuple[Example, ...]:
    texts = texts_at(pairs, lines)
    return tuple(Example(line, pair_text(*texts[line])) for line in lines)
