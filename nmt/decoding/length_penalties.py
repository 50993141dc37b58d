"""The table of length penalties, which make the scores of hypotheses of different lengths comparable."""

from abc import ABC, abstractmethod

from torch import Tensor

from nmt.recipe.registry import Table
from nmt.recipe.schema import DecodingOptions

KEY = "decoding.length_penalty"


class LengthPenalty(ABC):
    """The score of a hypothesis as a function of its log-probability and its length.

    A score must not fall where the length or the log-probability grows alone; ``early_stopping: exact`` relies on it.

    Args:
        alpha: strength of the penalty, ``decoding.alpha``.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    @abstractmethod
    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        """Returns the scores of hypotheses.

        Args:
            log_probability: at most 0. [...]
            length: tokens, EOS counted, of the same type and device; broadcastable to the log-probabilities.
        """


class NoPenalty(LengthPenalty):
    """The score is log p."""

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability


class Average(LengthPenalty):
    """The score is log p / length^α."""

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability / length**self.alpha


class Gnmt(LengthPenalty):
    """The score is log p / ((5 + length) / 6)^α (Wu et al. 2016, equation 14)."""

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability / ((5 + length) / 6) ** self.alpha


class WordReward(LengthPenalty):
    """The score is log p + α length (He et al. 2016)."""

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability + self.alpha * length


LENGTH_PENALTIES: Table[LengthPenalty] = Table(
    "length penalty",
    LengthPenalty,
    {"none": NoPenalty, "average": Average, "gnmt": Gnmt, "word_reward": WordReward},
)


def length_exponent(options: DecodingOptions) -> float:
    """Returns the x of programs that know scores of the form log p / length^x alone: 1 for other penalties."""
    return {"none": 0.0, "average": options.alpha}.get(options.length_penalty, 1.0)


def length_normalised(options: DecodingOptions, log_probability: Tensor, length: Tensor | int) -> Tensor:
    """Returns the scores of hypotheses of ``length`` tokens, EOS counted, by the penalty of the options."""
    # new_full runs on the device; a tensor made of a Python number would be copied to it, at each step.
    length = length.to(log_probability) if isinstance(length, Tensor) else log_probability.new_full((), length)
    return LENGTH_PENALTIES[options.length_penalty](options.alpha)(log_probability, length)
