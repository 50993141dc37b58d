"""From encoded sentences to hypotheses: batches of similar length, limits, and beam search or sampling."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nmt.core.device import TYPES, Precision, autocast
from nmt.core.errors import Problems, UserError
from nmt.data.batch import Ids, lengths, pad
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.beam import beam_search
from nmt.decoding.constraints import LexicalConstraints, PhraseConstraints
from nmt.decoding.graphed import RecordedSearch, is_plain
from nmt.decoding.hypotheses import BeamObserver, Hypothesis, SearchBatch
from nmt.decoding.parallel import map_by_length
from nmt.decoding.processors import LOGITS_PROCESSORS, PROCESSORS, Bounds, LogitsProcessor, Spared, make_processors
from nmt.decoding.ranking import LENGTH_PENALTIES, NO_MBR
from nmt.metrics.table import check_metrics
from nmt.models.contracts import Model
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.options import validate
from nmt.recipe.registry import provided
from nmt.recipe.schema import DecodingOptions

BatchSearch = Callable[[SearchBatch, Sequence[LogitsProcessor], Sequence[LexicalConstraints]], list[list[Hypothesis]]]
"""The search for the hypotheses of a batch, best first; see :func:`search_batch`."""

ShortlistSearch = Callable[
    [BatchSearch, Sequence[Ids], SearchBatch, Sequence[LogitsProcessor], Sequence[LexicalConstraints]],
    list[list[Hypothesis]],
]
"""Searches a batch, of the given encoded sources, among a part of the vocabulary."""


@dataclass(frozen=True)
class Query:
    """Encoded sentences to be searched, and how."""

    sources: Sequence[Ids]  # ids of each sentence, without EOS
    options: DecodingOptions  # method, beam, penalties, limits, logits processors and batch size
    on_progress: Callable[[int], None] = lambda sentences: None  # called with the number of sentences of each batch
    processors: Sequence[LogitsProcessor] = ()  # applied before those of ``options``
    constraints: Sequence[LexicalConstraints] | None = None  # the words that each translation must contain
    numbers: Sequence[int] | None = None  # of the sentences, for processors that tell them apart; from 0 on if None
    observer: BeamObserver | None = None  # called after each step of beam search in PyTorch
    before_step: Callable[[], None] = lambda: None  # called before each step in PyTorch; an error ends the search


def check_components(options: DecodingOptions, problems: Problems) -> None:
    """Adds an error for each component that the options name and that doesn't exist or has wrong options."""
    with problems:
        check_metrics([options.mbr], also=[NO_MBR])
    with problems:
        LENGTH_PENALTIES.find(options.length_penalty, "decoding.length_penalty")
    with problems:
        LOGITS_PROCESSORS.choose_many(options.logits_processors, PROCESSORS)


def changed(options: DecodingOptions, changes: Mapping[str, Any]) -> DecodingOptions:
    """Returns options with changes, of which None means no change.

    Raises:
        UserError: an unknown option or a value out of range.
    """
    values = options.model_dump() | {name: value for name, value in changes.items() if value is not None}
    made, problems = validate(DecodingOptions, values, "decoding"), Problems()
    check_components(made, problems)
    problems.raise_if_any("decoding")
    return made


class Searcher(Protocol):
    """Finds hypotheses for encoded sentences.

    A translator, validation and a server search by such an object alone, whatever runs the model.
    """

    is_stepwise: bool  # whether logits processors can follow the search step by step at no extra cost

    def __call__(self, query: Query) -> list[list[Hypothesis]]:
        """Searches; returns the hypotheses of each sentence, best first. Raises UserError if the options don't fit the
        model or the constraints."""


class ModelSearcher:
    """Searches with a model in PyTorch: sentences are sorted by length, in batches, and returned in their own order.

    Args:
        model: in eval mode while it searches.
        search: searches a batch, see :meth:`nmt.tasks.base.Task.search`.
        make_shortlist: returns the search with a shortlist of a size; without it, ``shortlist`` has no effect.
        repeats: many batches are searched with the same weights, so that recording a step on a GPU is worth the time.
    """

    is_stepwise = True

    def __init__(
        self,
        model: Model,
        vocabularies: Vocabularies,
        search: BatchSearch | None = None,
        precision: Precision = "fp32",
        make_shortlist: Callable[[int], ShortlistSearch] | None = None,
        repeats: bool = False,
    ) -> None:
        self._model, self._vocabularies, self._search = model, vocabularies, search or search_batch
        self._precision, self._make_shortlist = precision, make_shortlist
        self._fast_search: RecordedSearch | None = None
        if repeats and isinstance(model, Seq2Seq) and model.device.type == "cuda":
            # The weights are converted once. Others read the same model in float32.
            converted = model if precision == "fp32" else copy.deepcopy(model).to(TYPES[precision])
            self._fast_search = RecordedSearch(converted)

    def __call__(self, query: Query) -> list[list[Hypothesis]]:
        options, device = query.options, self._model.device
        constraints = query.constraints or [LexicalConstraints()] * len(query.sources)
        numbers = query.numbers or range(len(query.sources))
        shortlist = self._make_shortlist(options.shortlist) if options.shortlist and self._make_shortlist else None
        processors = [*query.processors, *make_processors(options.logits_processors, self._vocabularies)]
        is_plain_beam = options.search == "beam" and options.beam_groups == 1
        if not is_plain_beam and any(wanted.phrases for wanted in constraints):
            raise UserError(
                "Phrases that must appear need a plain beam search.",
                "Leave out sampling and beam groups, or the phrases.",
            )
        if query.observer is not None and shortlist is not None:
            raise UserError("A search with a shortlist can't be recorded.", "Leave out the shortlist.")

        def search_some(chunk: Sequence[int]) -> list[list[Hypothesis]]:
            sources, wanted = [query.sources[i] for i in chunk], [constraints[i] for i in chunk]
            source_length_B = lengths(sources)
            limit_B = max_lengths(source_length_B, options) + torch.tensor([own.num_tokens for own in wanted])
            batch = SearchBatch(
                self._model,
                pad(sources, self._vocabularies.source, eos=True).to(device),
                source_length_B.to(device),
                self._vocabularies,
                options,
                limit_B.to(device),
                [numbers[i] for i in chunk],
                query.observer,
                query.before_step,
                self._fast_search,
            )
            if shortlist is None:
                return self._search(batch, processors, wanted)
            return shortlist(self._search, sources, batch, processors, wanted)

        source_lengths = [len(source) for source in query.sources]
        with autocast(device, self._precision):
            return map_by_length(search_some, source_lengths, options.batch_size, device, query.on_progress)


def search_batch(
    batch: SearchBatch, processors: Sequence[LogitsProcessor], constraints: Sequence[LexicalConstraints]
) -> list[list[Hypothesis]]:
    """Searches a batch by beam search or sampling, as its options say; best hypotheses first."""
    is_constrained = any(wanted.prefix or wanted.phrases for wanted in constraints)
    if batch.fast_search is not None and not processors and not is_constrained and is_plain(batch):
        results = batch.fast_search(batch)
        if results is not None:
            return results
    prefixes = [wanted.prefix for wanted in constraints]
    # The last processor overrules those before it, which must leave the tokens of a prefix possible.
    if any(prefixes):
        processors = [Spared(each, prefixes) if each.changes_scores else each for each in processors]
    processors = [*processors, Bounds(prefixes, batch.limit_B, batch.target)]
    if batch.options.search == "sample":
        samples: list[list[Hypothesis]] = provided("sample", "decoding.search: sample")(batch, processors)
        return samples
    phrases = [wanted.phrases for wanted in constraints]
    full_stops = frozenset[int]().union(*(wanted.full_stops for wanted in constraints))
    bound: PhraseConstraints | None = None
    if any(phrases):
        bound = provided("phrase constraints", "must_contain")(phrases, batch.target.eos, full_stops)
    return beam_search(batch, processors, bound)


def max_lengths(source_length_B: Tensor, options: DecodingOptions) -> Tensor:
    """The most tokens, EOS counted, that each translation may have. [B]"""
    limit_B = (source_length_B * options.max_length_ratio).long() + options.max_length_extra
    return limit_B if options.max_length is None else limit_B.clamp(max=options.max_length + 1)
