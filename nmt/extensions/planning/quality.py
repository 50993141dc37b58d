"""The quality to expect of a model, by the text, its optimizer and the number of its updates.

chrF follows a logistic curve of the logarithm of the number of updates, whose end and middle depend on the text. How
well it can be translated is measured on the text itself, by a translation phrase by phrase.
``tools/experiments/plan_quality.py`` fits the constants and measures the error on texts that they were not fitted on.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import e, hypot, log
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

from nmt.alignment.word_model import Ids, WordModel
from nmt.autotrain.texts import Pairs, Texts
from nmt.data.vocabulary.files import Vocabularies
from nmt.metrics.table import METRICS

NUM_HELD_OUT, MAX_LINKS, MIN_LINKS, MAX_PIECES, LONGEST = 1_000, 4_000_000, 64, 60, 3
"""Pairs that are translated phrase by phrase; pairs of pieces that the others are read for; those that a short
pair counts as, because each takes time; pieces of a side of them; source pieces of a phrase."""
Phrase = tuple[int, ...]


@dataclass(frozen=True)
class TextProfile:
    """Figures of a text that need no training."""

    num_pairs: int
    """Pairs to train on."""
    num_tokens: float
    """Pieces of a target sentence; the mean."""
    length: float
    """Pieces of the held-out target that a piece is in; the mean, to which long targets contribute most, as to chrF."""
    lexical: float
    """chrF of held-out sentences that are translated piece by piece, or phrase by phrase where that is better."""

    @classmethod
    def read(cls, texts: Texts, vocabularies: Vocabularies) -> "TextProfile":
        """Reads a text and what of it is held out; takes about five seconds, also for a long one."""
        others, held_out = texts.train + texts.synthetic, texts.test or texts.valid
        held_out = held_out[:: max(1, len(held_out) // NUM_HELD_OUT)]
        some = _encoded(others[:: max(1, len(others) // 1000)], vocabularies)
        num_links = max(MIN_LINKS, mean(len(source) * len(target) for source, target in some) if some else 0)
        encoded = _encoded(others[:: max(1, round(len(others) * num_links / MAX_LINKS))], vocabularies)
        lengths = [len(vocabularies.target.encode(text)) for _, text in held_out]
        if not (encoded and sum(lengths)):
            return cls(max(1, len(others)), 1.0, 1.0, 0.0)
        phrases, references = _phrases(encoded, len(vocabularies.target)), [[target for _, target in held_out]]

        def translated(text: str, longest: int) -> str:
            left, pieces = tuple(vocabularies.source.encode(text)), list[int]()
            while left:
                known = (left[:n] for n in range(longest, 1, -1) if left[:n] in phrases)
                phrase = next(known, left[:1])
                pieces += phrases.get(phrase, phrase if vocabularies.share_ids else ())
                left = left[len(phrase) :]
            return vocabularies.target.decode(pieces)

        chrf = METRICS["chrf"]()
        tries = ([translated(source, longest) for source, _ in held_out] for longest in (1, LONGEST))
        lexical = max(chrf.corpus_score(each, references).score for each in tries)
        tokens = mean(len(target) for _, target in encoded)
        return cls(len(others), tokens, sum(n * n for n in lengths) / sum(lengths), lexical)


def _phrases(pairs: Sequence[tuple[Ids, Ids]], num_targets: int) -> dict[Phrase, Phrase]:
    """Returns the most frequent translation of each source piece, and of phrases that have one more than once.

    The target pieces that the pieces of a phrase explain stand together, and no other piece explains one of them (Koehn
    et al. 2003, "Statistical phrase-based translation", with the links of one direction).
    """
    sources, targets = zip(*pairs, strict=True)
    model, found = WordModel(sources, targets, num_targets + 1), defaultdict[Phrase, Counter[Phrase]](Counter)
    for source, target in pairs:
        source_ids, target_ids, places = (source - 1).tolist(), (target - 1).tolist(), model.explaining(source, target)
        for first in range(1, len(source_ids) + 1):
            for last in range(first, min(first + LONGEST, len(source_ids) + 1)):
                at = [t for t, place in enumerate(places) if first <= place <= last]
                if at and all(not place or first <= place <= last for place in places[at[0] : at[-1] + 1]):
                    found[tuple(source_ids[first - 1 : last])][tuple(target_ids[at[0] : at[-1] + 1])] += 1
    best = ((phrase, *counts.most_common(1)[0]) for phrase, counts in found.items())
    return {phrase: translation for phrase, translation, count in best if len(phrase) == 1 or count > 1}


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
    """chrF after endless training on 20,000 pairs of 20 pieces whose lexical chrF is 50."""
    end_lexical: Any
    """What it gains for each ten of lexical chrF."""
    end_pairs: Any
    """What it gains for e times as many pairs."""
    end_tokens: Any
    """What it gains for sentences that are longer by a factor of e."""
    middle: Any
    """Logarithm of the updates half-way to the end, for a length of 30 pieces."""
    middle_length: Any
    """What it gains when targets are longer by a factor of e."""
    rate: Any

    def __call__(self, profile: TextProfile, num_updates: float) -> Any:
        end = self.end + self.end_lexical * (profile.lexical - 50) / 10
        end = end + self.end_pairs * log(profile.num_pairs / 20_000) + self.end_tokens * log(profile.num_tokens / 20)
        middle = self.middle + self.middle_length * log(profile.length / 30)
        return end / (1 + e ** (self.rate * (middle - log(max(num_updates, 1)))))


MUON = QualityCurve(59.0, 12.3, 1.37, 3.17, 4.54, 0.42, 1.17)
"""Fitted to runs of the GRUs that `nmt train TEXTS` chooses (docs/lab-notes/2026-11-27-front-door.md)."""
UPDATES = {"adam": 0.4, "muon": 1.0}
"""The updates of Muon that one of an optimizer is worth (docs/lab-notes/2026-11-26-muon.md)."""
ERROR, SPREAD = 5.5, 50.0
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
