"""From encoded sentences to hypotheses: batches of similar length, limits, and beam search or sampling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.batching import Ids, lengths, pad
from nmt.data.vocabulary import Vocabularies
from nmt.decoding.beam import Hypothesis, beam_search, length_normalised
from nmt.decoding.constraints import LexicalConstraints, PhraseConstraints
from nmt.decoding.logits_processors import Bounds, LogitsProcessor, SearchTask, make_processors
from nmt.decoding.shortlist import Candidates, Shortlist
from nmt.device import map_by_length
from nmt.errors import UserError
from nmt.models.interfaces import Model


def search_all(
    model: Model,
    sources: Sequence[Ids],
    vocabularies: Vocabularies,
    options: DecodingOptions,
    on_progress: Callable[[int], None] = lambda sentences: None,
    *,
    processors: Sequence[LogitsProcessor] = (),
    constraints: Sequence[LexicalConstraints] | None = None,
    numbers: Sequence[int] | None = None,
    candidates: Candidates | None = None,
) -> list[list[Hypothesis]]:
    """Translate any number of encoded sentences: sorted by length, in batches, back in their own order.

    Args:
        model: in eval mode.
        sources: ids of each sentence, without EOS.
        vocabularies: those of the model.
        options: method, beam, penalties, limits, logits processors and batch size.
        on_progress: called with the number of sentences of each finished batch.
        processors: applied before those of ``options``.
        constraints: what each translation must contain.
        numbers: of the sentences, for the random numbers of sampling; from 0 on where None.
        candidates: gives the target ids that search is limited to.

    Raises:
        UserError: the options don't fit the model or the constraints.
    """
    processors = [*processors, *make_processors(options.logits_processors, vocabularies)]
    if (options.search == "sample" or options.beam_groups > 1) and any(each.phrases for each in constraints or ()):
        raise UserError(
            "Phrases that must appear need a plain beam search.", "Leave out sampling and beam groups, or the phrases."
        )

    search = _BatchSearch(model, vocabularies, options, processors, candidates)

    def search_some(chunk: Sequence[int]) -> list[list[Hypothesis]]:
        wanted = [LexicalConstraints() if constraints is None else constraints[i] for i in chunk]
        return search([sources[i] for i in chunk], wanted, [i if numbers is None else numbers[i] for i in chunk])

    source_lengths = [len(source) for source in sources]
    return map_by_length(search_some, source_lengths, options.batch_size, model.device, on_progress)


@dataclass(frozen=True)
class _BatchSearch:
    """The search for the translations of a batch; see :func:`search_all`."""

    model: Model
    vocabularies: Vocabularies
    options: DecodingOptions
    processors: Sequence[LogitsProcessor]
    candidates: Candidates | None

    def __call__(
        self, batch: Sequence[Ids], wanted: Sequence[LexicalConstraints], numbers: Sequence[int]
    ) -> list[list[Hypothesis]]:
        if self.candidates is not None:
            return self._among(Shortlist.of(self.candidates(batch), wanted, self.model.device), batch, wanted, numbers)
        source_length_B, device, target = lengths(batch), self.model.device, self.vocabularies.target
        limit_B = max_lengths(source_length_B, self.options) + torch.tensor([each.num_tokens for each in wanted])
        task = SearchTask(
            self.model,
            pad(batch, self.vocabularies.source, eos=True).to(device),
            source_length_B.to(device),
            self.vocabularies,
            self.options,
            limit_B.to(device),
            numbers,
        )
        if target.is_closed:
            return likeliest_labels(task, self.processors)
        # The last one overrules those before it.
        of_batch = [*self.processors, Bounds([each.prefix for each in wanted], task.limit_B, target)]
        if self.options.search == "sample":
            return sample(task, of_batch)
        phrases = [each.phrases for each in wanted]
        return beam_search(task, of_batch, PhraseConstraints(phrases, target.eos) if any(phrases) else None)

    def _among(
        self,
        shortlist: Shortlist,
        batch: Sequence[Ids],
        wanted: Sequence[LexicalConstraints],
        numbers: Sequence[int],
    ) -> list[list[Hypothesis]]:
        """The same search among the ids of a shortlist."""
        processors = [shortlist.widen(each, len(self.vocabularies.target)) for each in self.processors]
        search = replace(self, model=shortlist.restrict(self.model), processors=processors, candidates=None)
        found = search(batch, [shortlist.local(each) for each in wanted], numbers)
        return [list(map(shortlist.restore, of_sentence)) for of_sentence in found]


@torch.inference_mode()
def likeliest_labels(task: SearchTask, processors: Sequence[LogitsProcessor]) -> list[list[Hypothesis]]:
    """The ``beam_size`` most probable labels of each line, best first; their scores are log-probabilities."""
    start_B1 = torch.full((len(task.source_BS), 1), task.target.sos, device=task.source_BS.device)
    logits_BV = task.model.step(
        start_B1[:, 0], task.model.start(task.source_BS, task.source_length_B)
    ).logits_NV.float()
    normaliser_B1 = logits_BV.logsumexp(1, keepdim=True)
    for processor in processors:
        processor(logits_BV, start_B1, torch.arange(len(start_B1), device=start_B1.device), task)
    log_p_BK, label_BK = (logits_BV - normaliser_B1).topk(min(task.options.beam_size, logits_BV.shape[1]), dim=1)
    rows = zip(label_BK.tolist(), log_p_BK.tolist(), strict=True)
    return [[Hypothesis([i], p, p) for i, p in zip(*row, strict=True) if p > -inf] for row in rows]


def max_lengths(source_length_B: Tensor, options: DecodingOptions) -> Tensor:
    """The most tokens, EOS counted, that each translation may have. [B]"""
    limit_B = (source_length_B * options.max_length_ratio).long() + options.max_length_extra
    return limit_B if options.max_length is None else limit_B.clamp(max=options.max_length + 1)


@torch.inference_mode()
def sample(task: SearchTask, processors: Sequence[LogitsProcessor]) -> list[list[Hypothesis]]:
    """``beam_size`` samples of each sentence, in the order of drawing.

    They are the same for a seed whatever else is in the batch. The length penalty makes their scores; it doesn't choose
    among them.
    """
    model, options, target = task.model, task.options, task.target
    num_samples, device = options.beam_size, task.source_BS.device
    longest = int(task.limit_B.max())
    uniform_NT = torch.cat([uniform_numbers(options.seed, n, num_samples, longest) for n in task.numbers]).to(device)
    sentence_N = torch.arange(len(task.source_BS), device=device).repeat_interleave(num_samples)
    state = model.start(task.source_BS, task.source_length_B).reorder(sentence_N)
    tokens_Nt = torch.full((len(sentence_N), 1), target.sos, device=device)
    log_p_N = torch.zeros(len(sentence_N), device=device)
    ended_N = torch.zeros(len(sentence_N), dtype=torch.bool, device=device)
    while not ended_N.all():
        output = model.step(tokens_Nt[:, -1], state)
        logits_NV = output.logits_NV.float()
        model_log_p_NV = logits_NV.log_softmax(1)
        for processor in processors:
            processor(logits_NV, tokens_Nt, sentence_N, task)
        token_N = draw(logits_NV, uniform_NT[:, tokens_Nt.shape[1] - 1], options)
        token_N = token_N.masked_fill(ended_N, target.eos)
        log_p_N += model_log_p_NV.gather(1, token_N[:, None])[:, 0].masked_fill(ended_N, 0.0)
        tokens_Nt = torch.cat((tokens_Nt, token_N[:, None]), dim=1)
        ended_N |= token_N == target.eos
        state = output.state
    length_N = (tokens_Nt[:, 1:] != target.eos).sum(1)
    score_N = length_normalised(options, log_p_N, length_N + 1)
    rows = zip(tokens_Nt[:, 1:].tolist(), length_N.tolist(), score_N.tolist(), log_p_N.tolist(), strict=True)
    samples = [Hypothesis(ids[:length], score, log_p) for ids, length, score, log_p in rows]
    return [samples[start : start + num_samples] for start in range(0, len(samples), num_samples)]


def uniform_numbers(seed: int, number: int, num_samples: int, length: int) -> Tensor:
    """The random numbers in [0, 1) of a sentence [K, t]; those of a sample and step depend on nothing but the seed and
    these numbers."""
    draws = [np.random.default_rng((seed, number, sample)).random(length) for sample in range(num_samples)]
    return torch.from_numpy(np.stack(draws))


def draw(logits_NV: Tensor, uniform_N: Tensor, options: DecodingOptions) -> Tensor:
    """A token for each row, from its distribution at a temperature, truncated by ``top_k`` and ``top_p``. [N]

    ``top_k`` keeps the k likeliest (Fan et al. 2018); ``top_p`` as few of the likeliest as have together a
    probability of p or more (Holtzman et al. 2020). C counts the candidates that may be drawn.
    """
    count = min(options.top_k or logits_NV.shape[1], logits_NV.shape[1])
    logits_NC, token_NC = logits_NV.topk(count, dim=1)
    p_NC = (logits_NC.double() / options.temperature).softmax(1)
    before_NC = p_NC.cumsum(1) - p_NC
    p_NC = p_NC.masked_fill(before_NC >= options.top_p, 0.0)
    up_to_NC = p_NC.cumsum(1)
    chosen_N1 = (up_to_NC <= uniform_N[:, None] * up_to_NC[:, -1:]).sum(1, keepdim=True)
    # Rounding may carry the last sum past the end of what is possible.
    chosen_N1 = chosen_N1.minimum((p_NC > 0).sum(1, keepdim=True) - 1)
    return token_NC.gather(1, chosen_N1)[:, 0]
