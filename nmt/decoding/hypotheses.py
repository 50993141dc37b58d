"""Types that every search shares: the batch to be searched, hypotheses, and a choice of continuations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.contracts import Model
from nmt.recipe.schema import DecodingOptions


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation, in ids, without SOS and EOS."""

    ids: list[int]
    score: float  # log-probability under the length and coverage penalties: hypotheses are ranked by it
    log_probability: float


@dataclass(frozen=True)
class Choice:
    """Continuations that end, and those that are kept. Log-probabilities are those of the whole hypotheses."""

    ending_BK: Tensor
    ending_parent_BK: Tensor  # the hypotheses (indices into K) that end
    open_BK: Tensor
    parent_BK: Tensor  # the hypotheses (indices into K) that are continued
    token_BK: Tensor  # their next tokens

    def num_invalid(self) -> Tensor:
        """Returns the number of log-probabilities that are NaN or positive infinity. []"""
        return (~(torch.cat((self.ending_BK, self.open_BK)) < inf)).sum()


@dataclass(frozen=True)
class BeamStep:
    """A step of beam search, for an observer. L counts the hypotheses that have logits."""

    logits_LV: Tensor  # after the logits processors
    offset_BK: Tensor  # log-probability of a continued hypothesis less the logit of its new token
    live_L: Tensor | None  # rows (indices into BK) that have logits; all, where None
    choice: Choice
    ending_score_BK: Tensor  # scores of the hypotheses that end, as in ``choice.ending_BK``
    open_BK: Tensor  # ``choice.open_BK`` with -inf where a hypothesis was pruned
    done_B: Tensor  # True for sentences whose search ends with this step
    weights_NHS: Tensor | None  # attention of all heads of all hypotheses; None for a model without attention


BeamObserver = Callable[[Sequence[int], BeamStep], None]
"""A function that is called after each step of beam search with the numbers of the sentences in the batch."""


@dataclass(frozen=True)
class SearchBatch:
    """A batch of sentences to translate."""

    model: Model  # in eval mode
    source_BS: Tensor  # ids with EOS, padded
    source_length_B: Tensor  # EOS counted
    vocabularies: Vocabularies
    options: DecodingOptions
    limit_B: Tensor  # the most tokens of each translation, EOS counted
    numbers: Sequence[int]  # the numbers of the sentences among all that are translated
    observer: BeamObserver | None = None  # called after each step of beam search; sampling has no such steps
    before_step: Callable[[], None] = lambda: None  # called before each step; an error ends the search
    fast_search: "Callable[[SearchBatch], list[list[Hypothesis]] | None] | None" = None
    """Plain beam search in another way, where there is one; it returns None where it can't search."""

    @property
    def target(self) -> Vocabulary:
        return self.vocabularies.target
