"""Validation of a model on held-out text: its loss, a metric of its translations, and what observers record.

B sentences of a batch, S source and T target positions, EOS counted.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from nmt.core.console import progress_bar
from nmt.core.device import Precision, autocast
from nmt.data.batch import make_batch
from nmt.data.batching import plan_batches
from nmt.decoding.hypotheses import Hypothesis
from nmt.decoding.processors import make_processors
from nmt.decoding.ranking import mbr_order
from nmt.decoding.search import ModelSearcher, Query
from nmt.metrics.degenerate import DegenerateCount, count_degenerate
from nmt.metrics.table import LOSS, METRICS, higher_is_better
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.recipe.registry import Table
from nmt.recipe.schema import Recipe
from nmt.training.data import Data
from nmt.training.distributed import SINGLE_PROCESS, ProcessGroup
from nmt.training.loss import batch_loss

LEARNED = 0.5
"""Share of the entropy of single target tokens that a loss must fall below before translations should be sound."""


@dataclass(frozen=True)
class Validation:
    """Figures of one validation."""

    loss: float
    """Mean -log p of a target token, in nats, without label smoothing."""
    metric: str = LOSS
    """Metric by which models are selected: a name of ``METRICS``, or ``loss``."""
    score: float | None = None
    """Score of the translations by that metric; None if it is the loss."""
    translations: list[str] = field(default_factory=list)
    degenerate: DegenerateCount = field(default_factory=DegenerateCount)
    """Number of degenerate translations."""
    entropy: float = 0.0
    """Loss of a model that knows how frequent each target token is and nothing else."""
    observations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Observations of ``training.observers``, by name; in rank 0 alone."""

    @property
    def value(self) -> float:
        """The score, or the loss where models are selected by it."""
        return self.loss if self.score is None else self.score

    @property
    def is_suspicious(self) -> bool:
        """Whether many translations are degenerate though the model predicts target tokens well.

        A model that has hardly learned to translate repeats frequent words, and most of its translations are
        degenerate. So the loss must be below :data:`LEARNED` times the entropy of the target tokens.
        """
        return self.degenerate.is_serious and self.loss < LEARNED * self.entropy

    def figures(self) -> dict[str, Any]:
        """Returns what ranks a checkpoint: ``value`` and ``loss`` (None if not finite), and ``higher_is_better``."""
        value, loss = (figure if math.isfinite(figure) else None for figure in (self.value, self.loss))
        return {"value": value, "loss": loss, "higher_is_better": higher_is_better(self.metric)}

    def beats(self, best: float | None, loss: float | None = None) -> bool:
        """Whether the value is better than the best so far, whose loss decides between equal scores, such as a BLEU of
        0 at the beginning; a value that isn't finite never is."""
        if best is None or not math.isfinite(self.value):
            return math.isfinite(self.value)
        if self.value == best and loss is not None:
            return self.loss < loss
        return self.value > best if higher_is_better(self.metric) else self.value < best


OBSERVER = "training.observers"


class Observer(ABC):
    """Records something about a model at each validation; a recipe turns it on by its name in ``training.observers``.

    Each observation is a line of ``NAME.jsonl`` in the model directory, and an
    :class:`nmt.training.events.Observed`. An observer reads the weights without changing them and draws no random
    number, so that a run reaches the same weights with and without it. It is made in rank 0 alone.

    Args:
        options: an instance of ``Options``.
        recipe: complete and checked.
        data: of the run.
        precision: of the matrix products.

    Raises:
        UserError: the options don't fit the data.
    """

    class Options(groups.Options):
        """Without keys."""

    requires: ClassVar[tuple[str, ...]] = ()
    """Features of the task that it needs, see :meth:`nmt.tasks.base.Task.require`."""

    @abstractmethod
    def __init__(self, options: Any, recipe: Recipe, data: Data, precision: Precision) -> None: ...

    @abstractmethod
    def __call__(self, model: Seq2Seq, check: Callable[[], None]) -> dict[str, Any]:
        """Returns the observation as JSON values.

        Args:
            model: in eval mode; called under ``torch.no_grad``.
            check: to be called now and then; raises an error if the validation is to end.
        """


OBSERVERS: Table[Observer] = Table("observer", Observer, {})


class Validator:
    """Measures a model on held-out text: its loss, and the metric of the recipe that selects the best model.

    Args:
        recipe: ``training.metric`` of the first ``training.validation_size`` sentences is computed, translated as
            ``decoding`` says; nothing is translated where it is the loss.
        batch_tokens: budget of a batch for the loss.
        precision: of the matrix products.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        batch_tokens: int,
        precision: Precision,
        process_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        make_processors(recipe.decoding.logits_processors, data.vocabularies)  # refuses wrong ones before training
        self.data, self._vocabularies, self._decoding = data.valid, data.vocabularies, recipe.decoding
        self._task, self._name = data.task, recipe.training.metric
        self._metric = METRICS[self._name]() if self._name != LOSS else None
        self._num_translated = min(recipe.training.validation_size, len(self.data.references)) if self._metric else 0
        self._batch_tokens, self._precision, self._process_group = batch_tokens, precision, process_group
        self._entropy = self._entropy_of_tokens()
        chosen = OBSERVERS.choose_many(recipe.training.observers, OBSERVER) if process_group.is_main else {}
        self._observers = {name: kind(options, recipe, data, precision) for name, (kind, options) in chosen.items()}

    @torch.no_grad()
    def __call__(self, model: Seq2Seq, stop: Callable[[], bool] = lambda: False) -> Validation | None:
        """Measure; the model comes back in the mode it had.

        ``stop`` is asked after each batch and before each step of a search; True ends the validation without a result.

        Raises:
            UserError: the model's log-probabilities are not finite in a search.
        """

        def check() -> None:
            if stop():
                raise _Stopped

        own: tuple[float, int, list[str]] | None = None
        observations, was_training = {}, model.training
        model.eval()
        try:
            own = (*self._loss(model, check), self._translate(model, check))
            observations = {name: observer(model, check) for name, observer in self._observers.items()}
        except _Stopped:
            pass
        finally:
            model.train(was_training)
        parts = [part for part in self._process_group.gather(own) if part is not None]
        if len(parts) < self._process_group.size:
            return None
        nlls, counts, texts = zip(*parts, strict=True)
        loss, translations = sum(nlls) / sum(counts), self._process_group.merge(texts)
        if self._metric is None:
            return Validation(loss, observations=observations)
        sources, references = (lines[: self._num_translated] for lines in (self.data.sources, self.data.references))
        score = self._metric.corpus_score(translations, [references], sources).score
        is_text = self._task.reports_degenerate  # labels may repeat themselves
        degenerate = count_degenerate(translations, sources, references) if is_text else DegenerateCount()
        return Validation(loss, self._name, score, translations, degenerate, self._entropy, observations)

    def _entropy_of_tokens(self) -> float:
        """Returns -Σ p log p over the target pieces and EOS, where p is their frequency in the validation text."""
        targets, vocabulary = self.data.corpus.target.taken(self.data.indices), self._vocabularies.target
        counts_V = targets.counts(len(vocabulary))
        counts_V[vocabulary.eos] += len(targets)
        p = counts_V[counts_V > 0] / counts_V.sum()
        return float(-(p * np.log(p)).sum())

    def _loss(self, model: Seq2Seq, check: Callable[[], None]) -> tuple[float, int]:
        """Sum of -log p over the target tokens of this process's share, and their number."""
        source, target = (side.taken(self.data.indices) for side in (self.data.corpus.source, self.data.corpus.target))
        lengths = source.lengths + 1, target.lengths + 1
        nll, num_tokens = 0.0, 0
        for rows in self._process_group.share(plan_batches(*lengths, self._batch_tokens)):
            batch = make_batch([(source[i], target[i]) for i in rows], self._vocabularies)
            with autocast(model.device, self._precision):
                loss = batch_loss(model, batch.to(model.device))
            nll += float(loss.nll)
            num_tokens += batch.num_target_tokens
            check()
        return nll, num_tokens

    def _translate(self, model: Seq2Seq, check: Callable[[], None]) -> list[str]:
        """Translations of this process's share."""
        indices = self._process_group.share(self.data.indices[: self._num_translated].tolist())
        sources = [self.data.corpus.source[index] for index in indices]
        search = ModelSearcher(model, self._vocabularies, self._task.search, self._precision)
        with progress_bar("validation", len(sources)) as bar:
            hypotheses = search(Query(sources, self._decoding, bar.advance, before_step=check))
        texts = [self.data.sources[place] for place in self._process_group.share(range(self._num_translated))]
        return [self._best(*pair) for pair in zip(hypotheses, texts, strict=True)]

    def _best(self, hypotheses: Sequence[Hypothesis], source: str) -> str:
        """Returns what ``nmt translate --no-restore-case`` gives for the hypotheses of a line."""
        texts = [self._vocabularies.target.decode(hypothesis.ids) for hypothesis in hypotheses]
        return texts[mbr_order(texts, self._decoding.mbr, source)[0]] if texts else ""


class _Stopped(Exception):
    """The validation was asked to end."""
