"""What a search is given, what it finds, and how hypotheses of different lengths are compared.

Shape legend, for every file in this folder; a tensor's name ends in its shape:

    B  sentences of a batch                  K  hypotheses of a sentence
    S  source positions                      N  hypotheses of all sentences, B·K; those of a sentence side by side
    V  target vocabulary                     t  tokens of a hypothesis so far
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.vocabulary import Vocabularies, Vocabulary
from nmt.models.interfaces import Model


@dataclass(frozen=True)
class SearchTask:
    """A batch of sentences to translate."""

    model: Model
    """In eval mode."""
    source_BS: Tensor
    """Ids with EOS, padded."""
    source_length_B: Tensor
    """EOS counted."""
    vocabularies: Vocabularies
    options: DecodingOptions
    limit_B: Tensor
    """The most tokens of each translation, EOS counted."""
    numbers: Sequence[int]
    """Of the sentences among all that are translated; sampling seeds its random numbers with them."""

    @property
    def target(self) -> Vocabulary:
        return self.vocabularies.target


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation, in ids, without SOS and EOS."""

    ids: list[int]
    score: float
    """Log-probability under the length and coverage penalties: hypotheses are ranked by it."""
    log_probability: float


def length_normalised(options: DecodingOptions, log_probability: Tensor, length: Tensor | int) -> Tensor:
    """The scores of hypotheses of ``length`` tokens, EOS counted.

    ``none``: log p. ``average``: log p / length^α. ``gnmt``: log p / ((5 + length) / 6)^α (Wu et al. 2016, equation
    14). ``word_reward``: log p + α length (He et al. 2016). A score never falls with the length.
    """
    length = torch.as_tensor(length, dtype=log_probability.dtype, device=log_probability.device)
    if options.length_penalty == "average":
        return log_probability / length**options.alpha
    if options.length_penalty == "gnmt":
        return log_probability / ((5 + length) / 6) ** options.alpha
    if options.length_penalty == "word_reward":
        return log_probability + options.alpha * length
    return log_probability
