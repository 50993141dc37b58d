"""Batches of several corpora by weight and stage."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.data.batching import BatchStream, TrainingBatches
from nmt.data.shapes import MOST_SHAPES
from nmt.recipe.schema import DataOptions, StageOptions


class InterleavedBatches(BatchStream):
    """The batches of several corpora, each in proportion to its weight.

    The next batch is that of the corpus with the smallest (target tokens read in the stage + 1) / weight; ties: the
    first corpus (stride scheduling, Waldspurger and Weihl 1995). Nothing is random: the position is the stage and, for
    each corpus, epoch, position and tokens. A corpus starts again after its end. An epoch of the stream has as many
    target tokens as all corpora together. ``share``: see :class:`BatchStream`.
    """

    def __init__(
        self, corpora: Mapping[str, TrainingBatches], stages: Sequence[StageOptions], share: tuple[int, int] = (0, 1)
    ) -> None:
        super().__init__(share)
        self._corpora, self._stages = corpora, stages
        self._epoch_tokens = sum(corpus.num_target_tokens for corpus in corpora.values())
        self._total = self.epoch = 0
        self._begin(0)

    @staticmethod
    def check(data: DataOptions) -> None:
        """Raises a UserError if corpora and stages don't fit together, or don't go with other keys."""
        if data.corpora and (data.task is not None or data.train != "train"):
            raise UserError(
                "data.corpora names the training text, and so do data.train and data.task.",
                "With data.corpora, leave out data.train and data.task.",
            )
        if data.history_turns is not None and any(corpus.modifiers or corpus.links for corpus in data.corpora):
            raise UserError(
                "data.corpora: modifiers and links are for sentences, not dialogues (data.history_turns).",
                "Leave them out.",
            )
        names, stages = [corpus.name for corpus in data.corpora], [stage.name for stage in data.stages]
        for kind, named in (("corpora", names), ("stages", stages)):
            if twice := [name for name in named if named.count(name) > 1]:
                raise UserError(f"data.{kind}: two {kind} have the name {twice[0]!r}.", "Rename one.")
        for number, stage in enumerate(data.stages, start=1):
            where = f"data.stages: stage {stage.name}"
            if unknown := [name for name in stage.corpora if name not in names]:
                known = ", ".join(names) or "no corpora at all"
                remedy = "Name corpora in the stage that data.corpora has."
                raise UserError(f"{where} reads {unknown[0]!r}, but data.corpora has {known}.", remedy)
            if stage.end is None and number < len(stages):
                example = f"give it until, such as '{next(iter(stage.corpora))} 1'"
                raise UserError(f"{where} would never end: {example}.", "Only the last stage can do without.")
            if stage.end is not None and stage.end[0] not in stage.corpora:
                remedy = "Name a corpus of the stage."
                raise UserError(f"{where} would never end: it doesn't read {stage.end[0]!r}.", remedy)

    def _begin(self, number: int) -> None:
        """Begins a stage."""
        self._number, self.stage = number, self._stages[number].name
        self._tokens = dict.fromkeys(self._corpora, 0)
        self._began = {name: corpus.place for name, corpus in self._corpora.items()}

    def _end_stage(self) -> None:
        """Begins the next stage, or ends the stream, if the current stage is complete."""
        if (end := self._stages[self._number].end) is None:
            return
        epoch, *place = self._began[end[0]]
        if self._corpora[end[0]].place >= (epoch + end[1], *place):
            self.is_over = self._number + 1 == len(self._stages)
            if not self.is_over:
                self._begin(self._number + 1)

    def __copy__(self) -> Self:
        """Returns an independent stream at the same position."""
        copied = object.__new__(type(self))
        corpora = {name: copy.copy(corpus) for name, corpus in self._corpora.items()}
        vars(copied).update(vars(self), _corpora=corpora, _tokens=self._tokens.copy())
        return copied

    def __len__(self) -> int:
        return sum(map(len, self._corpora.values()))

    def _next(self) -> str:
        """Returns the corpus of the next batch."""
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

    def use_few_shapes(self, most: int = MOST_SHAPES) -> list[Batch]:
        each = max(8, most // len(self._corpora))  # with fewer, a fifth of the positions would be padding
        return [batch for corpus in self._corpora.values() for batch in corpus.use_few_shapes(each)]

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
        """Continues from a :meth:`state_dict`; a new corpus or stage starts at its beginning."""
        before, stages, last = state.get("corpora", {}), [stage.name for stage in self._stages], state.get("stage")
        if changed := sorted(before.keys() ^ self._corpora.keys()):
            warn(f"data.corpora isn't what the run was started with: {', '.join(changed)} came or went.")
        for name in before.keys() & self._corpora.keys():
            self._corpora[name].load_state_dict(before[name])
        self._total = state.get("tokens", 0)
        self.epoch = self._total // self._epoch_tokens
        self._begin(stages.index(last) if last in stages else 0)
        if last not in (None, "all", self.stage):  # the stage of a run without data.stages is "all"
            warn(f"data.stages lacks {last!r}, in which the run was: going on with the first one, {self.stage!r}.")
        if last == self.stage:
            self._began |= {name: tuple(old["began"]) for name, old in before.items()}
            # Otherwise the new weights would compensate for the old.
            if state["weights"] == self._stages[self._number].corpora:
                self._tokens |= {name: old["tokens"] for name, old in before.items()}
        self._end_stage()
