"""The quality to expect of a model, by the text, its optimizer and the number of its updates.

chrF follows a logistic curve of the logarithm of the number of updates, whose end and middle depend on the text. How
well it can be translated is measured on the text itself: by a translation piece by piece, and by how much of held-out
targets is familiar.
``tools/experiments/plan_quality.py`` fits the constants and measures the error on texts that they were not fitted on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import e, hypot, log
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

from nmt.alignment.word_model import Ids, WordModel
from nmt.autotrain.texts import Pairs, Texts
from nmt.data.vocabulary.files import Vocabularies
from nmt.metrics.table import METRICS

NUM_HELD_OUT, MAX_LINKS, MAX_PIECES, MAX_TARGETS = 1_000, 4_000_000, 60, 60_000
"""Pairs that are translated piece by piece; pairs of pieces that the others are read for; pieces of a side; targets
whose groups of pieces are known."""


@dataclass(frozen=True)
class TextProfile:
    """Figures of a text that need no training."""

    num_tokens: float
    """Pieces of a target sentence; the mean."""
    lexical: float
    """chrF of held-out sentences, each piece of which is replaced by its most frequent translation."""
    familiar: float
    """Percentage of the groups of three pieces of held-out targets that the others have."""

    @classmethod
    def read(cls, texts: Texts, vocabularies: Vocabularies) -> "TextProfile":
        """Reads a text and what of it is held out; takes about three seconds, also for a long one."""
        others, held_out = texts.train + texts.synthetic, texts.test or texts.valid
        held_out = held_out[:: max(1, len(held_out) // NUM_HELD_OUT)]
        some = _encoded(others[:: max(1, len(others) // 1000)], vocabularies)
        num_links = mean(len(source) * len(target) for source, target in some) if some else 1
        encoded = _encoded(others[:: max(1, round(len(others) * num_links / MAX_LINKS))], vocabularies)
        if not encoded:
            return cls(1.0, 0.0, 0.0)
        sources, targets = zip(*encoded, strict=True)
        table = {i: i for i in range(len(vocabularies.target))} if vocabularies.share_ids else {}
        found = WordModel(sources, targets, len(vocabularies.target) + 1).translations()
        table |= {source - 1: target - 1 for source, target in found.items()}
        pieces = [[table[i] for i in vocabularies.source.encode(text) if i in table] for text, _ in held_out]
        references = [[target for _, target in held_out]]
        chrf = METRICS["chrf"]().corpus_score([*map(vocabularies.target.decode, pieces)], references)
        groups = [*_groups(held_out, vocabularies)]
        known = set(groups).intersection(_groups(others[:: max(1, len(others) // MAX_TARGETS)], vocabularies))
        familiar = 100 * mean(group in known for group in groups) if groups else 0.0
        return cls(mean(map(len, targets)), chrf.score, familiar)


def _groups(pairs: Pairs, vocabularies: Vocabularies) -> Iterator[tuple[int, ...]]:
    """Yields each three pieces in a row of the targets, whose beginning and end count as pieces, too."""
    for _, text in pairs:
        pieces = [-1, *vocabularies.target.encode(text), -1]
        yield from zip(pieces, pieces[1:], pieces[2:], strict=False)


def _encoded(pairs: Pairs, vocabularies: Vocabularies) -> list[tuple[Ids, Ids]]:
    """Returns the first pieces of both sides of the pairs that have some, from 1: 0 is the empty word."""
    sides = vocabularies.source, vocabularies.target
    encoded = [[side.encode(text)[:MAX_PIECES] for side, text in zip(sides, pair, strict=True)] for pair in pairs]
    return [(np.array(source) + 1, np.array(target) + 1) for source, target in encoded if source and target]


class QualityCurve(NamedTuple):
    """chrF of held-out text: a logistic function of the logarithm of the number of updates.

    The constants are tensors where a fit differentiates by them.
    """

    end: Any
    """chrF after endless training on a text whose lexical chrF is 50."""
    end_lexical: Any
    """What it gains for each ten of lexical chrF."""
    middle: Any
    """Logarithm of the updates half-way from floor to end, for sentences of 20 pieces and 60 % familiar groups."""
    middle_familiar: Any
    """What it loses for each ten per cent of familiar groups."""
    middle_length: Any
    """What it gains when sentences are longer by a factor of e."""
    rate: Any
    floor: Any
    """chrF of the first fluent sentences, which do not depend on the source."""

    def __call__(self, profile: TextProfile, num_updates: float) -> Any:
        end = self.end + self.end_lexical * (profile.lexical - 50) / 10
        middle = self.middle - self.middle_familiar * (profile.familiar - 60) / 10
        middle = middle + self.middle_length * log(profile.num_tokens / 20)
        floor = min(self.floor, end)  # of a text that can hardly be translated
        return floor + (end - floor) / (1 + e ** (self.rate * (middle - log(max(num_updates, 1)))))


MUON = QualityCurve(62.0, 13.3, 4.33, 0.36, 2.36, 1.0, 18.2)
"""Fitted to runs of the GRUs that `nmt train TEXTS` chooses (docs/lab-notes/2026-11-27-front-door.md)."""
UPDATES = {"adam": 0.4, "muon": 1.0}
"""The updates of Muon that one of an optimizer is worth (docs/lab-notes/2026-11-26-muon.md)."""
ERROR, SPREAD = 5.0, 50.0
"""How far a result may well be from the estimate, and half of the 95 % interval of a test with one sentence."""


def expected_chrf(profile: TextProfile, num_updates: float, optimizer: str = "muon", curve: QualityCurve = MUON) -> Any:
    """Returns the chrF of held-out text to expect after what is worth this number of updates of a GRU of width 128."""
    return min(max(curve(profile, num_updates * UPDATES[optimizer]), 0.0), 100.0)


def error_of(texts: Texts) -> float:
    """Returns how far the chrF of a run may be from its estimate; a small test set adds its own uncertainty."""
    return hypot(ERROR, SPREAD / max(1, len(texts.test or texts.valid)) ** 0.5)


def estimate(texts: Texts, vocabularies: Vocabularies, num_updates: float) -> tuple[float, float]:
    """Returns the chrF to expect of training on a text, and how far the result may be from it."""
    return expected_chrf(TextProfile.read(texts, vocabularies), num_updates), error_of(texts)
