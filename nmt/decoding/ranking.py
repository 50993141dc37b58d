"""Scores that rank hypotheses: length penalties, and minimum Bayes risk decoding."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf

from torch import Tensor

from nmt.recipe.registry import Table, provided
from nmt.recipe.schema import DecodingOptions


class LengthPenalty(ABC):
    """The score of a hypothesis as a function of its log-probability and its length.

    A score must not fall where the length or the log-probability grows alone; ``early_stopping: exact`` relies on it.
    ``alpha`` is the strength of the penalty, ``decoding.alpha``.
    """

    exponent: float = 1.0  # the x of programs that know scores of the form log p / length^x alone

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    @abstractmethod
    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        """Returns the scores of hypotheses by their log-probabilities, at most 0, and their numbers of tokens, EOS
        counted, of the same type and device. The lengths can be broadcast to the log-probabilities."""


class NoPenalty(LengthPenalty):
    """log p."""

    exponent = 0.0

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability


class Average(LengthPenalty):
    """log p / T^α."""

    def __init__(self, alpha: float) -> None:
        super().__init__(alpha)
        self.exponent = alpha

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability / length**self.alpha


class Gnmt(LengthPenalty):
    """log p / ((5 + T) / 6)^α (Wu et al. 2016, equation 14)."""

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability / ((5 + length) / 6) ** self.alpha


class WordReward(LengthPenalty):
    """log p + α T (He et al. 2016)."""

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability + self.alpha * length


LENGTH_PENALTIES: Table[LengthPenalty] = Table(
    "length penalty", LengthPenalty, {"none": NoPenalty, "average": Average, "gnmt": Gnmt, "word_reward": WordReward}
)
"""The docstring of a class is its formula, in which T is the length, EOS counted; documentation shows it."""


def length_penalty(options: DecodingOptions) -> LengthPenalty:
    """Returns the penalty that the options choose."""
    return LENGTH_PENALTIES[options.length_penalty](options.alpha)


def length_normalised(options: DecodingOptions, log_probability: Tensor, length: Tensor | int) -> Tensor:
    """Returns the scores of hypotheses of ``length`` tokens, EOS counted, by the penalty of the options."""
    # new_full runs on the device; a tensor made of a Python number would be copied to it, at each step.
    length = length.to(log_probability) if isinstance(length, Tensor) else log_probability.new_full((), length)
    score = length_penalty(options)(log_probability, length)
    return score.masked_fill(log_probability.isneginf(), -inf)  # also where the length to the power of alpha overflows


NO_MBR = "none"


def mbr_order(candidates: Sequence[str], utility: str, source: str) -> list[int]:
    """Returns the indices of candidates by expected utility, highest first; equal ones keep their order. The utility
    ``none`` changes nothing."""
    order = list(range(len(candidates)))
    if utility == NO_MBR or len(candidates) < 2:
        return order
    utilities = provided("expected utilities", "decoding.mbr")(candidates, utility, source)
    return sorted(order, key=lambda i: -utilities[i])
