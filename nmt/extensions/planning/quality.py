"""The quality to expect of a Transformer, by the text, its width, its optimizer and the number of its updates.

chrF follows a logistic curve of the logarithm of the number of updates, whose end and middle depend on the text and the
width. How well a text can be translated is measured on the text itself: by a translation piece by piece.
``tools/experiments/plan_quality.py`` fits the constants and measures the error on texts that they were not fitted on.
"""

from dataclasses import dataclass
from math import e, log
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

from nmt.alignment.word_model import Ids, WordModel
from nmt.autotrain.texts import Pairs
from nmt.data.vocabulary.files import Vocabularies
from nmt.metrics.table import METRICS

NUM_HELD_OUT, MAX_LINKS, MAX_PIECES = 300, 4_000_000, 60
"""Pairs that are translated piece by piece; pairs of pieces that the others are read for; pieces of a side."""


@dataclass(frozen=True)
class TextProfile:
    """Figures of a text that need no training."""

    num_pairs: int
    num_tokens: float
    """Pieces of a target sentence; the mean."""
    lexical: float
    """chrF of held-out sentences, each piece of which is replaced by its most frequent translation."""

    @classmethod
    def read(cls, pairs: Pairs, vocabularies: Vocabularies) -> "TextProfile":
        """Reads a text; takes about two seconds, also for a long one."""
        every = max(len(pairs) // NUM_HELD_OUT, 2 if len(pairs) < 40 else 10)
        others = [pair for at, pair in enumerate(pairs) if at % every] or pairs
        some = _encoded(others[:: max(1, len(others) // 1000)], vocabularies)
        num_links = mean(len(source) * len(target) for source, target in some) if some else 1
        encoded = _encoded(others[:: max(1, round(len(others) * num_links / MAX_LINKS))], vocabularies)
        if not encoded:
            return cls(len(pairs), 1.0, 0.0)
        sources, targets = zip(*encoded, strict=True)
        table = {i: i for i in range(len(vocabularies.target))} if vocabularies.share_ids else {}
        found = WordModel(sources, targets, len(vocabularies.target) + 1).translations()
        table |= {source - 1: target - 1 for source, target in found.items()}
        pieces = [[table[i] for i in vocabularies.source.encode(text) if i in table] for text, _ in pairs[::every]]
        references = [target for _, target in pairs[::every]]
        chrf = METRICS["chrf"]().corpus_score([*map(vocabularies.target.decode, pieces)], [references])
        return cls(len(pairs), mean(map(len, targets)), chrf.score)


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
    """chrF after endless training on 30,000 pairs whose lexical chrF is 50."""
    end_lexical: Any
    """What it gains for each ten of lexical chrF."""
    end_pairs: Any
    """What it loses when there are 16 times fewer pairs."""
    middle: Any
    """Logarithm of the number of updates half-way from floor to end, at width 128 and for sentences of 20 pieces."""
    middle_lexical: Any
    """What it loses for each ten of lexical chrF."""
    middle_length: Any
    """What it gains when sentences are longer by a factor of e."""
    middle_width: Any
    """What it loses when the width is larger by a factor of e."""
    rate: Any
    floor: Any
    """chrF of the first fluent sentences, which do not depend on the source."""

    def __call__(self, profile: TextProfile, width: int, num_updates: float) -> Any:
        lexical, fewer = (profile.lexical - 50) / 10, (30_000 / max(profile.num_pairs, 300)) ** 0.25 - 1
        end = self.end + self.end_lexical * lexical - self.end_pairs * fewer
        middle = self.middle - self.middle_lexical * lexical + self.middle_length * log(profile.num_tokens / 20)
        middle = middle - self.middle_width * log(width / 128)
        return self.floor + (end - self.floor) / (1 + e ** (self.rate * (middle - log(max(num_updates, 1)))))


MUON = QualityCurve(61.6, 10.8, 14.1, 6.14, 0.79, 0.87, 0.81, 1.14, 17.5)
"""Fitted to runs of 4 to 36 minutes with taught attention (docs/lab-notes/2026-11-27-front-door.md)."""
UPDATES = {"adam": 0.4, "muon": 1.0}
"""The updates of Muon that one of an optimizer is worth (docs/lab-notes/2026-11-26-muon.md)."""
ERROR = 8.0
"""How far a result may well be from the estimate."""


def expected_chrf(
    profile: TextProfile, width: int, num_updates: int, optimizer: str = "muon", curve: QualityCurve = MUON
) -> Any:
    """Returns the chrF of held-out text that is expected of a Transformer after this number of updates."""
    return min(max(curve(profile, width, num_updates * UPDATES[optimizer]), 0.0), 100.0)


def estimate(pairs: Pairs, vocabularies: Vocabularies, width: int, num_updates: int) -> tuple[float, float]:
    """Returns the chrF to expect of training on a text, and how far the result may be from it."""
    return expected_chrf(TextProfile.read(pairs, vocabularies), width, num_updates), ERROR
