"""Several corpora in one run: whose batch comes next, stage by stage, and a sample of all for the vocabulary."""

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from nmt.core.console import warn
from nmt.data.batching import Batch, BatchStream, TrainingBatches
from nmt.data.sources import ParallelText, TaggedText
from nmt.recipe.schema import StageOptions


class InterleavedBatches(BatchStream):
    """The batches of several corpora, each in proportion to its weight.

    The next batch is that of the corpus with the smallest (target tokens of it that the stage has read + 1) / weight;
    of equals, the first (stride scheduling, Waldspurger and Weihl 1995). Nothing is random, so the place in the stream
    is the stage and, for each corpus, epoch, position and tokens. A corpus that is at its end begins anew. An epoch of
    the stream has as many target tokens as all corpora together.

    Args:
        corpora: by name.
        stages: one after another.
        share: see :class:`BatchStream`.
    """

    def __init__(
        self, corpora: Mapping[str, TrainingBatches], stages: Sequence[StageOptions], share: tuple[int, int] = (0, 1)
    ) -> None:
        super().__init__(share)
        self._corpora, self._stages = corpora, stages
        self._epoch_tokens = sum(corpus.num_target_tokens for corpus in corpora.values())
        self._total = self.epoch = 0
        self._begin(0)

    def _begin(self, number: int) -> None:
        """Go to the beginning of a stage."""
        self._number, self.stage = number, self._stages[number].name
        self._tokens = dict.fromkeys(self._corpora, 0)
        self._began = {name: corpus.place for name, corpus in self._corpora.items()}

    def _end_stage(self) -> None:
        """Go on to the next stage, or to the end, if the present one has read what it is to read."""
        if (end := self._stages[self._number].end) is None:
            return
        epoch, *place = self._began[end[0]]
        if self._corpora[end[0]].place >= (epoch + end[1], *place):
            self.is_over = self._number + 1 == len(self._stages)
            if not self.is_over:
                self._begin(self._number + 1)

    def __copy__(self) -> Self:
        """A stream that moves on by itself."""
        copied = object.__new__(type(self))
        corpora = {name: copy.copy(corpus) for name, corpus in self._corpora.items()}
        vars(copied).update(vars(self), _corpora=corpora, _tokens=self._tokens.copy())
        return copied

    def __len__(self) -> int:
        return sum(map(len, self._corpora.values()))

    def _next(self) -> str:
        """The corpus whose turn it is."""
        weights = self._stages[self._number].corpora
        names = (name for name in self._corpora if name in weights)
        return min(names, key=lambda name: (self._tokens[name] + 1) / weights[name])

    def make_next(self) -> Batch:
        return self._corpora[self._next()].make_next()

    def advance(self) -> None:
        name = self._next()
        num_tokens = self._corpora[name].next_tokens
        self._tokens[name] += num_tokens
        self._total += num_tokens
        self.epoch = self._total // self._epoch_tokens
        self._corpora[name].advance()
        self._end_stage()

    def longest(self, batch_tokens: int) -> Batch:
        batches = (corpus.longest(batch_tokens) for corpus in self._corpora.values())
        return max(batches, key=lambda batch: max(batch.source_BS.shape[1], batch.target_output_BT.shape[1]))

    @property
    def num_positions(self) -> int:
        return sum(corpus.num_positions for corpus in self._corpora.values())

    def state_dict(self) -> dict[str, Any]:
        corpora = {
            name: corpus.state_dict() | {"tokens": self._tokens[name], "began": self._began[name]}
            for name, corpus in self._corpora.items()
        }
        weights = self._stages[self._number].corpora
        return {"epoch": self.epoch, "tokens": self._total, "stage": self.stage, "weights": weights, "corpora": corpora}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken; a corpus or a stage that is new begins at its beginning."""
        before, stages = state.get("corpora", {}), [stage.name for stage in self._stages]
        if changed := sorted(before.keys() ^ self._corpora.keys()):
            warn(f"data.corpora isn't what the run was started with: {', '.join(changed)} came or went.")
        for name in before.keys() & self._corpora.keys():
            self._corpora[name].load_state_dict(before[name])
        self._total = state.get("tokens", 0)
        self.epoch = self._total // self._epoch_tokens
        self._begin(stages.index(state["stage"]) if state.get("stage") in stages else 0)
        if state.get("stage") == self.stage:
            self._began |= {name: tuple(old["began"]) for name, old in before.items()}
            if state["weights"] == self._stages[self._number].corpora:  # else the new ones would make up for the old
                self._tokens |= {name: old["tokens"] for name, old in before.items()}
        self._end_stage()


class Sample:
    """Sentence pairs of several texts in proportion to their weights; the same ones each time they are read.

    There are about as many as the texts have together, or ``limit``. A text with fewer than its share is read again.

    Args:
        texts: with or without tags, which are left out.
        weights: of the texts.
        limit: most pairs; None for no limit.
        seed: of the choice.
    """

    def __init__(
        self, texts: Sequence[ParallelText], weights: Sequence[float], limit: int | None = None, seed: int = 1
    ) -> None:
        self._texts = [text.untagged if isinstance(text, TaggedText) else text for text in texts]
        sizes = [sum(1 for _ in text) for text in self._texts]
        total = min(sum(sizes), limit or sum(sizes))
        self._copies = [
            total * (weight / sum(weights)) / max(size, 1) for weight, size in zip(weights, sizes, strict=True)
        ]
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[str, str]]:
        rng = random.Random(self._seed)
        for text, copies in zip(self._texts, self._copies, strict=True):
            for pair in text:
                for _ in range(int(copies) + (rng.random() < copies % 1)):
                    yield pair
