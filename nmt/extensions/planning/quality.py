"""The quality to expect of a Transformer, by the text, its width, its optimizer and the number of its updates.

chrF follows a logistic curve of the logarithm of the number of updates, whose end and middle depend on the text, the
width and the optimizer (:class:`QualityCurve`). ``tools/experiments/plan_quality.py`` fits the constants and measures
the error on texts that they were not fitted on.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import e, log
from statistics import mean
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import torch

Number = TypeVar("Number", "float", "torch.Tensor")
NUM_WORDS, FAMILIAR = (7.0, 25.0), (0.1, 0.75)
"""Texts beyond those that the constants were fitted on count as if they had as long sentences, and were as familiar."""
NUM_HELD_OUT, NUM_SAMPLED, MAX_PAIRS = 500, 4_000, 100_000
"""Number of pairs by which a text is described, and the largest number of others."""
_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{1,3}|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or up to three characters of a script without spaces."""
UNSPACED_LOSS = 0.5
"""Share of chrF that such scripts lose, whose groups of characters have more content than those of letters."""


@dataclass(frozen=True)
class TextProfile:
    """Figures of a text that need no training."""

    num_pairs: int
    num_words: float
    """Words of a target sentence, or groups of up to three characters of a script without spaces; the mean."""
    familiar: float
    """Share of the groups of three words of held-out targets that occur in the other ones, up to :data:`MAX_PAIRS`."""
    familiar_pairs: float
    """Share of the pairs of words of held-out targets that occur in :data:`NUM_SAMPLED` other ones."""
    unspaced: float = 0.0
    """Share of the words that are of scripts without spaces."""

    @property
    def features(self) -> tuple[float, float, float]:
        """Logarithms of :attr:`num_words` divided by twelve, and of both shares multiplied by e, all within limits."""
        familiar, familiar_pairs = (1 + log(_within(share, FAMILIAR)) for share in (self.familiar, self.familiar_pairs))
        return log(_within(self.num_words, NUM_WORDS) / 12), familiar, familiar_pairs

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> "TextProfile":
        """Reads a text once."""
        targets = [target for _, target in pairs]
        count = len(targets)
        del targets[MAX_PAIRS:]
        every = max(len(targets) // NUM_HELD_OUT, 2 if count < 40 else 20)
        held_out, others = targets[::every], [target for at, target in enumerate(targets) if at % every]
        words = [word for target in held_out for word in _UNIT.findall(target)]
        sampled = others[:: max(len(others) // NUM_SAMPLED, 1)]
        familiar, familiar_pairs = _familiar(held_out, others, 3), _familiar(held_out, sampled, 2)
        unspaced = mean("\u3040" <= word[0] <= "\u9fff" for word in words) if words else 0.0
        return cls(count, len(words) / len(held_out), familiar, familiar_pairs, unspaced)


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _familiar(held_out: Sequence[str], others: Iterable[str], size: int) -> float:
    """Returns the share of the groups of ``size`` words of some texts that occur in other texts."""
    groups = [group for text in held_out for group in _groups(text, size)]
    unknown = set(groups)
    for text in others:
        unknown.difference_update(_groups(text, size))
    return mean(group not in unknown for group in groups) if groups else 0.0


def _groups(text: str, size: int) -> Iterator[tuple[str, ...]]:
    words = ["<s>", *_UNIT.findall(text), "</s>"]
    return zip(*(words[start:] for start in range(size)), strict=False)


@dataclass(frozen=True)
class QualityCurve(Generic[Number]):
    """chrF of held-out text: a logistic function of the logarithm of the number of updates.

    The constants are tensors where a fit differentiates by them.
    """

    end: tuple[Number, Number, Number]
    """chrF after endless training: constant, and weights of the first two of :attr:`TextProfile.features`."""
    middle: tuple[Number, Number, Number]
    """Logarithm of the number of updates after which half of it is reached: constant, and weights of the third of the
    features and of the logarithm of the width in units of 128."""
    rate: Number

    def __call__(self, features: Sequence[Number], log_width: Number, log_updates: Number) -> Number:
        length, familiar, familiar_pairs = features
        end = self.end[0] + self.end[1] * length + self.end[2] * familiar
        middle = self.middle[0] + self.middle[1] * familiar_pairs + self.middle[2] * log_width
        inverse_share: Number = 1 + e ** (self.rate * (middle - log_updates))
        return end / inverse_share


CURVES = {
    "adam": QualityCurve((51.13, 18.84, 36.40), (7.926, -3.182, -0.263), 1.737),
    "muon": QualityCurve((51.13, 18.84, 36.40), (6.75, -2.46, -0.87), 0.97),
}
"""By optimizer. Adam's is fitted to runs of up to 80 minutes on seven texts; Muon's has the same ends, and its middle
and rate come from runs of 5 to 30 minutes on six texts (docs/lab-notes/2026-11-27-front-door.md)."""
ERROR = 8.0
"""How far a result may well be from the estimate."""


def expected_chrf(profile: TextProfile, width: int, num_updates: int, optimizer: str = "muon") -> float:
    """Returns the chrF of held-out text that is expected of a Transformer after this number of updates."""
    curve = CURVES[optimizer]
    chrf = curve(profile.features, log(width / 128), log(max(num_updates, 1)))
    return _within(chrf * (1 - UNSPACED_LOSS * profile.unspaced), (0.0, 100.0))


def estimate(pairs: Sequence[tuple[str, str]], width: int, num_updates: int) -> tuple[float, float]:
    """Returns the chrF to expect of training on a text, and how far the result may be from it."""
    return expected_chrf(TextProfile.read(pairs), width, num_updates), ERROR
