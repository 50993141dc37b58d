"""Training on reversed pairs: at first a model learns to translate both ways (Ding et al. 2021).

A language that is only read, or only written, is learned from half of the text. Where both languages share a
vocabulary, pairs can be read the other way round as well; which way is meant, the model sees by the source.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nmt.core.errors import UserError
from nmt.data.cache import ParallelIds, Sentences
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.techniques.fraction import FirstEpochs
from nmt.recipe import options as groups
from nmt.recipe.schema import Recipe

_STREAM = 1
"""Separates these random numbers from others of the same seed and epoch."""


class ReversePairs(FirstEpochs):
    """Reverses half of the pairs, sampled anew in each epoch.

    So an epoch is as long as one in a single direction, and two of them read every pair once each way on average; the
    paper reads both ways in one.
    """

    key = "training.techniques.reverse_pairs"
    order = 20

    class Options(groups.Options):
        fraction: float = Field(
            0.35, gt=0, lt=1, description="of max_epochs, the first ones, in which half of the pairs are turned round"
        )

    @classmethod
    def check(cls, options: Options, recipe: Recipe) -> Iterable[UserError]:
        yield from super().check(options, recipe)
        if any("terms" in corpus.modifiers for corpus in recipe.data.corpora):
            yield UserError(
                "training.techniques.reverse_pairs can't turn pairs round in which the source has given terms.",
                "Leave out reverse_pairs, or the modifier terms of data.corpora.",
            )

    def setup_data(self, vocabularies: Vocabularies) -> None:
        if not vocabularies.joint:
            raise UserError(
                "training.techniques.reverse_pairs reads pairs the other way round, which takes a joint vocabulary.",
                "Set vocabulary.joint to true, or leave reverse_pairs out.",
            )
        if vocabularies.source.separator is not None:
            raise UserError(
                "training.techniques.reverse_pairs can't turn dialogues round: their targets have no earlier turns.",
                "Set data.history_turns to null, or leave reverse_pairs out.",
            )
        if vocabularies.source.tags:
            raise UserError(
                "training.techniques.reverse_pairs can't turn pairs with tags round: targets have no tags.",
                "Leave reverse_pairs out, and name a corpus twice in data.corpora, once with its sides exchanged.",
            )

    def read_epoch(self, sides: ParallelIds, seed: int, epoch: int) -> ParallelIds:
        if epoch >= self.num_epochs:
            return sides
        source, target = sides
        # Not the numbers that order the epoch: they would put all turned pairs of a length side by side.
        turned_N = np.random.default_rng((seed, epoch, _STREAM)).random(len(source)) < 0.5
        return InterleavedSentences(source, target, turned_N), InterleavedSentences(target, source, turned_N)


class InterleavedSentences(Sentences):
    """Sentences of one side or, where ``from_second_N`` is True, of another of the same size."""

    def __init__(self, first: Sentences, second: Sentences, from_second_N: npt.NDArray[np.bool_]) -> None:
        self._first, self._second, self._from_second_N = first, second, from_second_N
        self.lengths = np.where(from_second_N, second.lengths, first.lengths)

    def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
        return (self._second if self._from_second_N[index] else self._first)[index]
