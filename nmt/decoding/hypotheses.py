"""Types that every search shares: the batch to be searched, hypotheses, and a choice of continuations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from nmt.recipe.schema import DecodingOptions

if TYPE_CHECKING:
    pass

from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.contracts import Model


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation, in ids, without SOS and EOS."""

    ids: list[int]
    score: float
    """Log-probability under the length and coverage penalties: hypotheses are ranked by it."""
    log_probability: float


@dataclass(frozen=True)
class Choice:
    """Continuations that end, and those that are kept. Log-probabilities are those of the whole hypotheses."""

    ending_BK: Tensor
    ending_parent_BK: Tensor
    """The hypotheses (indices into K) that end."""
    open_BK: Tensor
    parent_BK: Tensor
    """The hypotheses (indices into K) that are continued, with the token:"""
    token_BK: Tensor


@dataclass(frozen=True)
class SearchBatch:
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
    """The numbers of the sentences among all that are translated."""

    @property
    def target(self) -> Vocabulary:
        return self.vocabularies.target
