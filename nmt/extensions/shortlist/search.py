"""Search among a part of the target vocabulary, so that the output layer costs less.

Inside such a search tokens are numbered by their place in the shortlist; special ids keep their numbers, because they
are among the first. C counts the tokens of a shortlist.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf

import torch
from torch import Tensor

from nmt.core.errors import UserError
from nmt.data.batch import Ids
from nmt.data.vocabulary.base import Vocabulary
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.search import BatchSearch
from nmt.models.contracts import State, StepOutput
from nmt.models.seq2seq import Seq2Seq

Candidates = Callable[[Sequence[Ids]], Iterable[int]]
"""From the encoded sources of a batch to the target ids that their translations may have."""


def special_ids(vocabulary: Vocabulary) -> range:
    """Ids that are in every shortlist: the special ones and those before them."""
    return range(max(vocabulary.pad, vocabulary.unk, vocabulary.sos, vocabulary.eos) + 1)


@dataclass(frozen=True)
class ShortlistSearch:
    """Searches a batch among the candidates of its sources; see :data:`nmt.decoding.search.ShortlistSearch`."""

    candidates: Candidates

    def __call__(
        self,
        search: BatchSearch,
        sources: Sequence[Ids],
        batch: SearchBatch,
        processors: Sequence[LogitsProcessor],
        wanted: Sequence[LexicalConstraints],
    ) -> list[list[Hypothesis]]:
        if not isinstance(batch.model, Seq2Seq):
            raise UserError("An ensemble can't search a shortlist.", "Leave out --shortlist, or the other models.")
        forced = (ids for own in wanted for ids in (own.prefix, *own.phrases))
        ids_C = torch.tensor(sorted({*self.candidates(sources), *chain(*forced)}), device=batch.source_BS.device)
        batch = replace(batch, model=ShortlistedModel(batch.model, ids_C), fast_search=None)
        wide = [_WideProcessor(own, ids_C, len(batch.target)) if own.reads_ids else own for own in processors]
        results = search(batch, wide, [_by_places(own, ids_C) for own in wanted])
        return [[replace(each, ids=ids_C[list(each.ids)].tolist()) for each in found] for found in results]


def _by_places(wanted: LexicalConstraints, ids_C: Tensor) -> LexicalConstraints:
    """Returns constraints by the places of their tokens in a shortlist, whose ids ascend."""

    def places(ids: Iterable[int]) -> list[int]:
        found: list[int] = torch.searchsorted(ids_C, torch.tensor([*ids]).to(ids_C)).tolist()
        return found

    full_stops = frozenset(places(wanted.full_stops.intersection(ids_C.tolist())))
    return replace(wanted, prefix=places(wanted.prefix), phrases=[*map(places, wanted.phrases)], full_stops=full_stops)


class ShortlistedModel:
    """A model whose output layer has the rows of a shortlist alone; see :class:`nmt.models.contracts.Model`."""

    def __init__(self, model: Seq2Seq, ids_C: Tensor) -> None:
        self._model, self._ids_C = model, ids_C
        self._output = model.decoder.output.rows(ids_C)
        self.device, self.alignment_heads = model.device, model.alignment_heads

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> State:
        return self._model.start(source_BS, source_length_B)

    def step(self, token_N: Tensor, state: State, need_weights: bool = False, rows: Tensor | None = None) -> StepOutput:
        return self._model.decoder.step(self._ids_C[token_N], state, need_weights, rows, self._output)


class _WideProcessor(LogitsProcessor):
    """A logits processor of the whole vocabulary in a search among a part of it."""

    def __init__(self, processor: LogitsProcessor, ids_C: Tensor, vocabulary_size: int) -> None:
        self._processor, self._ids_C, self._size = processor, ids_C, vocabulary_size

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        wide_NV = logits_NV.new_full((len(logits_NV), self._size), -inf)
        wide_NV[:, self._ids_C] = logits_NV
        self._processor(wide_NV, self._ids_C[tokens_Nt], sentence_N, batch)
        logits_NV.copy_(wide_NV[:, self._ids_C])
