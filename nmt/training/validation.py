"""Validation of a model on held-out text: its loss, a metric of its translations, and the frames of a film.

B sentences of a batch, S source and T target positions, EOS counted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.core.console import progress_bar
from nmt.core.device import Precision, autocast
from nmt.core.errors import UserError
from nmt.core.templates import packed
from nmt.data.batch import Ids, lengths, make_batch
from nmt.data.batching import plan_batches
from nmt.data.cache import encode_corpus
from nmt.data.opening import open_text
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.forced import ForcedScore, force_all
from nmt.decoding.hypotheses import Hypothesis
from nmt.decoding.processors import make_processors
from nmt.decoding.ranking import mbr_order
from nmt.decoding.search import ModelSearcher, Query
from nmt.metrics.degenerate import DegenerateCount, count_degenerate
from nmt.metrics.table import LOSS, METRICS, higher_is_better
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, validation_set
from nmt.training.distributed import SINGLE_PROCESS, ProcessGroup
from nmt.training.loss import batch_loss

MAX_PIECES = 60
"""Pieces of a sentence of a film; a larger matrix can't be read."""
NUM_GRADIENT_PAIRS = 64
"""Validation pairs by which a film measures gradients."""
BATCH_SIZE = 32
MIN_SENTENCES = 10
"""A mean of the gradients of fewer sentences isn't shown."""

LEARNED = 0.5
"""Share of the entropy of single target tokens that a loss must fall below before translations should be sound."""

Pairs = Sequence[tuple[Ids, Ids]]


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
    frame: dict[str, Any] | None = None
    """With ``training.film`` the fields of :class:`nmt.training.events.Filmed`; in rank 0 alone."""

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
        """Returns the figures that rank a checkpoint: ``value`` (None if it isn't finite) and ``higher_is_better``."""
        value = self.value if math.isfinite(self.value) else None
        return {"value": value, "higher_is_better": higher_is_better(self.metric)}

    def beats(self, best: float | None) -> bool:
        """Whether the value is better than the best so far; one that isn't finite never is."""
        if best is None or not math.isfinite(self.value):
            return math.isfinite(self.value)
        return self.value > best if higher_is_better(self.metric) else self.value < best


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
        self._task = data.task
        self._name = recipe.training.metric
        self._metric = METRICS[self._name]() if self._name != LOSS else None
        self._num_translated = min(recipe.training.validation_size, len(self.data.references)) if self._metric else 0
        self._batch_tokens, self._precision, self._process_group = batch_tokens, precision, process_group
        self._entropy = self._entropy_of_tokens()
        self._film = Film(recipe, data, precision) if recipe.training.film and process_group.is_main else None

    @torch.inference_mode()
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
        frame, was_training = None, model.training
        model.eval()
        try:
            own = (*self._loss(model, check), self._translate(model, check))
            frame = self._film(model, check) if self._film is not None else None
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
            return Validation(loss, frame=frame)
        sources, references = (lines[: self._num_translated] for lines in (self.data.sources, self.data.references))
        score = self._metric.corpus_score(translations, [references], sources).score
        is_text = self._task.reports_degenerate  # labels may repeat themselves
        degenerate = count_degenerate(translations, sources, references) if is_text else DegenerateCount()
        return Validation(loss, self._name, score, translations, degenerate, self._entropy, frame)

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
        """Returns the translation that ``nmt translate`` gives for the hypotheses of a line."""
        texts = [self._task.decode(self._vocabularies.target, hypothesis.ids) for hypothesis in hypotheses]
        return texts[mbr_order(texts, self._decoding.mbr, source)[0]] if texts else ""


class _Stopped(Exception):
    """The validation was asked to end."""


class Film:
    """Training timeline: the translations of some sentences at each validation.

    A frame is the event :class:`nmt.training.events.Filmed`; ``film.jsonl`` has a line for each. The weights are only
    read, and no random number is drawn, so a run reaches the same weights with and without a film.

    Args:
        recipe: with ``training.film``.
        data: of the run, whose first validation sentences are filmed where the recipe names no others.
        precision: of the matrix products.

    Raises:
        UserError: there is no sentence of a suitable length, or the given files can't be read.
    """

    def __init__(self, recipe: Recipe, data: Data, precision: Precision) -> None:
        options = recipe.training.film
        assert options is not None
        self._vocabularies, self._task, self._precision = data.vocabularies, data.task, precision
        self._decoding = recipe.decoding.model_copy(update={"search": "beam"})
        filmed, corpus = data.valid, data.valid.corpus
        self._gradient_pairs = [(corpus.source[i], corpus.target[i]) for i in filmed.indices[:NUM_GRADIENT_PAIRS]]
        if options.pairs is not None:
            text = open_text(recipe.data, options.pairs)
            corpus = encode_corpus(text, data.vocabularies, recipe.data.max_length)
            filmed = validation_set(text, corpus, np.arange(len(corpus)))
        encoded = [(corpus.source[i], corpus.target[i]) for i in filmed.indices]
        self._lines = [
            (line, ids) for line, ids in zip(filmed.sources, encoded, strict=True) if max(map(len, ids)) <= MAX_PIECES
        ][: options.sentences]
        if not self._lines:
            raise UserError(
                f"training.film: no sentence pair has at most {MAX_PIECES} pieces a side.",
                "Name two files with shorter ones: training.film.pairs.",
            )

    @torch.inference_mode()
    def __call__(self, model: Seq2Seq, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Returns the fields of a frame.

        Args:
            model: in eval mode.
            check: called before each step of the search; an error that it raises ends it.
        """
        with torch.inference_mode(False):
            norm_S = norms_by_distance(model, self._gradient_pairs, self._vocabularies)
        shares = [float(f"{share:.4g}") for share in np.nan_to_num(norm_S / norm_S.sum())]
        return {"sentences": self._sentences(model, check), "gradients": shares}

    def _sentences(self, model: Seq2Seq, check: Callable[[], None]) -> list[dict[str, Any]]:
        sources = [source for _, (source, _) in self._lines]
        search = ModelSearcher(model, self._vocabularies, self._task.search, self._precision)
        results = search(Query(sources, self._decoding, before_step=check))
        translations = [hypotheses[0].ids if hypotheses else () for hypotheses in results]
        pairs = [
            (source, tuple(target))
            for (_, (source, reference)), ids in zip(self._lines, translations, strict=True)
            for target in (reference, ids[:MAX_PIECES])
        ]
        heads, vocabulary = model.decoder.alignment_heads if model.decoder.heads else (), self._vocabularies.source
        with autocast(model.device, self._precision):
            forced = force_all(model, pairs, self._vocabularies, BATCH_SIZE, heads)
        shown = iter(self._shown(target, each) for (_, target), each in zip(pairs, forced, strict=True))
        return [
            {
                "text": line,
                "source": [vocabulary.token(i) for i in (*source, vocabulary.eos)],
                "reference": next(shown),
                "translation": next(shown),
            }
            for line, (source, _) in self._lines
        ]

    def _shown(self, target: Sequence[int], forced: ForcedScore) -> dict[str, Any]:
        """Returns text, tokens, their probabilities given the tokens before, and attention of a target."""
        vocabulary = self._vocabularies.target
        return {
            "text": " ".join(self._task.decode(vocabulary, target).split()),
            "tokens": [vocabulary.token(i) for i in (*target, vocabulary.eos)],
            "p": [round(p, 4) for p in forced.log_probability_T.exp().nan_to_num(0).tolist()],
            "attention": packed(forced.weights_HTS.mean(0).cpu().numpy()) if forced.weights_HTS is not None else None,
        }


def norms_by_distance(model: Seq2Seq, pairs: Pairs, vocabularies: Vocabularies) -> npt.NDArray[np.float64]:
    """Mean gradient norm by distance from the last source word read, as far as there are enough sentences. [S]

    For E = -log p(target | source) and the embedding x_t of a source word, ‖∂E/∂x_t‖ is averaged over sentences by the
    number of words that the encoder reads after it (Bengio et al. 1994; Pascanu et al. 2013). Where it vanishes, a
    network can't learn long dependencies.

    Args:
        model: in eval mode.
        pairs: ids of source and target, without SOS and EOS.
        vocabularies: for the special ids.
    """
    longest = max((len(source) for source, _ in pairs), default=0) + 1
    sums, counts = np.zeros(longest), np.zeros(longest, dtype=np.int64)
    for start in range(0, len(pairs), BATCH_SIZE):
        batch = pairs[start : start + BATCH_SIZE]
        norm_BS = _norms(model, batch, vocabularies)
        for norms, length in zip(norm_BS, lengths([source for source, _ in batch]).tolist(), strict=True):
            reversed_order = getattr(model.encoder, "reverse", False)
            read = norms[:length] if reversed_order else norms[:length][::-1]  # the word read last comes first
            sums[:length] += read
            counts[:length] += 1
    shown = int((counts >= MIN_SENTENCES).sum())
    return sums[:shown] / counts[:shown]


def _norms(model: Seq2Seq, pairs: Pairs, vocabularies: Vocabularies) -> npt.NDArray[np.float64]:
    """‖∂E/∂x‖ of every source position of a batch. [B, S]"""
    batch = make_batch(pairs, vocabularies).to(model.device)
    caught: list[Tensor] = []

    def catch(module: object, inputs: object, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    handle = model.encoder.embedding.register_forward_hook(catch)
    try:
        # The recurrent kernels of cuDNN have a backward pass in training mode only, which would add dropout.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            gradients = torch.autograd.grad(batch_loss(model, batch).smoothed, caught)
    finally:
        handle.remove()
    norms: npt.NDArray[np.float64] = sum(gradients).norm(dim=2).double().cpu().numpy()  # type: ignore[union-attr]
    return norms
