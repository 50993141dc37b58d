"""Tokens that a translation must contain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from nmt.decoding.hypotheses import Choice


@dataclass(frozen=True)
class LexicalConstraints:
    """Ids that one translation must contain."""

    prefix: Sequence[int] = ()  # tokens that it begins with
    phrases: Sequence[Sequence[int]] = ()  # sequences of tokens that it contains
    full_stops: frozenset[int] = frozenset()  # tokens that end sentences

    @property
    def num_tokens(self) -> int:
        return len(self.prefix) + sum(map(len, self.phrases))


class PhraseConstraints(Protocol):
    """The phrases of each sentence of a batch; see :class:`nmt.extensions.terms.phrases.BeamAllocation`."""

    concern_B: Tensor
    """Whether a sentence has phrases."""

    def choose(
        self,
        unconstrained: Choice,
        logits_BKV: Tensor,
        offset_BK: Tensor,
        tokens_BKt: Tensor,
        sentence_B: Tensor,
        has_finished_B: Tensor,
    ) -> Choice:
        """Choose again for the sentences that have phrases.

        Logits and offsets are those of :meth:`nmt.decoding.beam.Beam.choose`; ``has_finished_B`` says whether a
        sentence has a finished hypothesis.
        """
