"""Logits processors: they change the logits of the next token before search chooses among the continuations.

Probabilities are not renormalised afterwards, so that where a processor only forbids tokens, the score of a translation
stays that of the model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.hypotheses import SearchBatch
from nmt.recipe import options as groups
from nmt.recipe.registry import Table


class LogitsProcessor(ABC):
    """Base class of logits processors.

    A subclass with a row in :data:`LOGITS_PROCESSORS` can be chosen in a recipe, ``decoding.logits_processors: {NAME:
    {OPTION: VALUE}}``, and by ``nmt translate --logits-processor``; a program can also give objects to
    :meth:`nmt.Translator.translate`. One object serves all batches, in several threads at a time: whatever depends on a
    batch is computed from the arguments of the call, and never kept on ``self``.

    Args:
        options: an object of the class's ``Options``.
        vocabularies: those of the model.
    """

    class Options(groups.Options):
        """A processor without options; a subclass with options declares a class of the same name."""

    reads_ids: bool = True
    """Whether it knows other ids than the special ones; search with a shortlist then shows it the whole vocabulary."""
    changes_scores: bool = True
    """Whether the search may differ from that of the model alone; its figures are then not those of forced decoding."""

    def __init__(self, options: Any, vocabularies: Vocabularies) -> None:
        self.options, self.vocabularies = options, vocabularies

    @abstractmethod
    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        """Change ``logits_NV`` in place.

        Args:
            logits_NV: unnormalised, float32; -inf forbids a token.
            tokens_Nt: ids of each hypothesis so far, SOS first. Hypotheses that have ended may be among them.
            sentence_N: the sentence of the batch, an index into B, that each hypothesis translates.
            batch: the batch, with the source sentences, their lengths and the decoding options.
        """


class Bounds(LogitsProcessor):
    """Constraints on all translations of a batch: a prefix at the beginning, EOS at the limit, PAD and SOS nowhere."""

    def __init__(self, prefixes: Sequence[Sequence[int]], limit_B: Tensor, target: Vocabulary) -> None:
        self._never, self._eos = [target.pad, target.sos], target.eos
        self._limit_B, self._shortest = limit_B, int(limit_B.min())
        self._length_B = torch.tensor([len(prefix) for prefix in prefixes]).to(limit_B.device)
        ids = [torch.tensor(prefix, dtype=torch.long) for prefix in prefixes]
        self._prefix_BT = pad_sequence(ids, batch_first=True).to(limit_B.device)

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        for token in self._never:  # a list as index would be copied to the device at each step
            logits_NV[:, token] = -inf
        num_tokens = tokens_Nt.shape[1] - 1  # without SOS
        if num_tokens < self._prefix_BT.shape[1]:
            forced_N = num_tokens < self._length_B[sentence_N]
            _leave_only(logits_NV, forced_N, self._prefix_BT[sentence_N, num_tokens])
        if num_tokens + 1 >= self._shortest:
            _leave_only(logits_NV, num_tokens + 1 >= self._limit_B[sentence_N], torch.full_like(sentence_N, self._eos))


class Spared(LogitsProcessor):
    """A logits processor that changes nothing while a translation is given its prefix."""

    def __init__(self, processor: LogitsProcessor, prefixes: Sequence[Sequence[int]]) -> None:
        self._processor, self._length_B = processor, torch.tensor([len(prefix) for prefix in prefixes])

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        rows = (tokens_Nt.shape[1] - 1 < self._length_B.to(sentence_N.device)[sentence_N]).nonzero()[:, 0]
        kept = logits_NV[rows]
        self._processor(logits_NV, tokens_Nt, sentence_N, batch)
        logits_NV[rows] = kept


def _leave_only(logits_NV: Tensor, where_N: Tensor, token_N: Tensor) -> None:
    """Forbid all but one token in some rows."""
    rows = where_N.nonzero()[:, 0]
    kept = logits_NV[rows, token_N[rows]]
    logits_NV[rows] = -inf
    logits_NV[rows, token_N[rows]] = kept


class NoRepeatNgram(LogitsProcessor):
    """No n-gram of tokens occurs twice in a translation (Paulus et al. 2018)."""

    class Options(groups.Options):
        size: int = Field(3, ge=1, description="n: the number of tokens of an n-gram")

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        size = self.options.size
        if tokens_Nt.shape[1] <= size:  # SOS is not part of an n-gram
            return
        windows_NWn = tokens_Nt[:, 1:].unfold(1, size, 1)
        last_Nn = tokens_Nt[:, tokens_Nt.shape[1] - size + 1 :]
        seen_NW = (windows_NWn[:, :, :-1] == last_Nn[:, None]).all(2)
        row, window = seen_NW.nonzero(as_tuple=True)
        logits_NV[row, windows_NWn[row, window, -1]] = -inf


class ForbidPhrases(LogitsProcessor):
    """Phrases do not occur in a translation, in the tokens that the vocabulary divides them into."""

    class Options(groups.Options):
        phrases: list[str] = Field(description="phrases as text")

    def __init__(self, options: Any, vocabularies: Vocabularies) -> None:
        super().__init__(options, vocabularies)
        target = vocabularies.target
        encoded = map(target.encode, options.phrases)
        self._phrases = [ids for ids in encoded if ids and target.unk not in ids]  # others have no tokens of their own

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        for phrase in self._phrases:
            *beginning, last = phrase
            if len(beginning) >= tokens_Nt.shape[1]:
                continue
            tail = tokens_Nt[:, tokens_Nt.shape[1] - len(beginning) :]
            begun_N = (tail == torch.tensor(beginning, dtype=torch.long, device=tail.device)).all(1)
            logits_NV[begun_N, last] = -inf


PROCESSORS = "decoding.logits_processors"
LOGITS_PROCESSORS: Table[LogitsProcessor] = Table(
    "logits processor", LogitsProcessor, {"no_repeat_ngram": NoRepeatNgram, "forbid_phrases": ForbidPhrases}
)
"""The logits processors that a recipe can name."""


def make_processors(chosen: Mapping[str, Mapping[str, Any]], vocabularies: Vocabularies) -> list[LogitsProcessor]:
    """The logits processors that ``decoding.logits_processors`` names, in its order; UserError where one is wrong."""
    choices = LOGITS_PROCESSORS.choose_many(chosen, PROCESSORS)
    return [processor(options, vocabularies) for processor, options in choices.values()]
