"""What a search is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.vocabulary import Vocabulary
from nmt.decoding.constraints import Constraints
from nmt.decoding.logits_processors import Rule
from nmt.models.interfaces import Model


@dataclass(frozen=True)
class Wishes:
    """What a translation must say."""

    prefix: Sequence[int] = ()
    """Pieces that it begins with."""
    phrases: Sequence[Sequence[int]] = ()
    """Runs of pieces that it contains."""

    @property
    def num_pieces(self) -> int:
        return len(self.prefix) + sum(map(len, self.phrases))


@dataclass(frozen=True)
class Task:
    """A batch of B sentences to translate."""

    model: Model
    """In eval mode."""
    source_BS: Tensor
    source_length_B: Tensor
    target: Vocabulary
    """For the special ids."""
    options: DecodingOptions
    rules: Sequence[Rule]
    """What translations may not say."""
    limit_B: Tensor
    """The most pieces of each translation, EOS counted."""
    numbers: Sequence[int]
    """Of the sentences, for their random numbers."""
    constraints: Constraints | None = None
    """What they must say; for beam search."""
