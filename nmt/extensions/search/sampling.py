"""Random samples from the distribution of a model."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nmt.core.device import float64_device
from nmt.decoding.finite import explained_search, is_valid
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.ranking import length_normalised
from nmt.recipe.schema import DecodingOptions


@torch.no_grad()
def sample(batch: SearchBatch, processors: Sequence[LogitsProcessor]) -> list[list[Hypothesis]]:
    """Draws ``beam_size`` samples of each sentence, in this order.

    The random numbers depend on the seed and the ids of the sentence alone, so the same sentence has the same samples
    wherever it stands, except where rounding in another batch changes a choice. The length penalty determines the
    scores of samples, and not their choice. Raises UserError if a log-probability is NaN or infinite.
    """
    model, options, target = batch.model, batch.options, batch.target
    num_samples, device = options.beam_size, batch.source_BS.device
    longest = int(batch.limit_B.max())
    rows = zip(batch.source_BS.tolist(), batch.source_length_B.tolist(), strict=True)
    uniform_NT = torch.cat([uniform_numbers(options.seed, ids[:n], num_samples, longest) for ids, n in rows])
    uniform_NT = uniform_NT.to(float64_device(device))
    sentence_B = torch.arange(len(batch.source_BS), device=device)
    sentence_N = sentence_B.repeat_interleave(num_samples)
    state = model.start(batch.source_BS, batch.source_length_B).reorder(sentence_N)
    tokens_Nt = torch.full((len(sentence_N), 1), target.sos, device=device)
    log_p_N = torch.zeros(len(sentence_N), device=device)
    ended_N = torch.zeros(len(sentence_N), dtype=torch.bool, device=device)
    for step in range(longest):  # Bounds ends every sample by then
        batch.before_step()
        live_L = (~ended_N).nonzero()[:, 0]
        output = model.step(tokens_Nt[:, -1], state, rows=live_L)
        logits_LV = output.logits_NV.float()
        model_log_p_LV = logits_LV.log_softmax(1)
        for processor in processors:
            processor(logits_LV, tokens_Nt[live_L], sentence_N[live_L], batch)
        token_L = draw(logits_LV, uniform_NT[live_L.to(uniform_NT.device), step], options)
        token_N = torch.full_like(sentence_N, target.eos).index_copy(0, live_L, token_L)
        log_p_N = log_p_N.index_add(0, live_L, model_log_p_LV.gather(1, token_L[:, None])[:, 0])
        num_invalid = (~is_valid(logits_LV.amax(1) + log_p_N[live_L])).sum()
        tokens_Nt = torch.cat((tokens_Nt, token_N[:, None]), dim=1)
        ended_N |= token_N == target.eos
        num_open, num_wrong = torch.stack(((~ended_N).sum(), num_invalid)).tolist()
        if num_wrong:
            raise explained_search(batch, tokens_Nt[:, :-1], sentence_B, processors)
        if not num_open:
            break
        state = output.state
    length_N = (tokens_Nt[:, 1:] != target.eos).sum(1)
    score_N = length_normalised(options, log_p_N, length_N + 1)
    ended = zip(tokens_Nt[:, 1:].tolist(), length_N.tolist(), score_N.tolist(), log_p_N.tolist(), strict=True)
    samples = [Hypothesis(ids[:length], score, log_p) for ids, length, score, log_p in ended]
    return [samples[start : start + num_samples] for start in range(0, len(samples), num_samples)]


def uniform_numbers(seed: int, sentence: Sequence[int], num_samples: int, length: int) -> Tensor:
    """Returns the random numbers in [0, 1) for the samples and steps of a sentence; other numbers of samples or steps
    leave those of the first ones as they are. [num_samples, length]"""
    draws = [
        np.random.default_rng((seed, sample, len(sentence), *sentence)).random(length) for sample in range(num_samples)
    ]
    return torch.from_numpy(np.stack(draws))


def draw(logits_NV: Tensor, uniform_N: Tensor, options: DecodingOptions) -> Tensor:
    """A token for each row, from its distribution at a temperature, truncated by ``top_k`` and ``top_p``. [N]

    ``top_k`` keeps the k likeliest (Fan et al. 2018); ``top_p`` as few of the likeliest as have together a
    probability of p or more (Holtzman et al. 2020). C counts the candidates that may be drawn. It is computed where
    ``uniform_N`` is.
    """
    is_cut, count = options.top_k is not None or options.top_p < 1, logits_NV.shape[1]
    logits_NC, token_NC = logits_NV, torch.arange(count, device=logits_NV.device).expand_as(logits_NV)
    if is_cut:  # without a limit the order doesn't matter, and sorting would take most of the time of a step
        logits_NC, token_NC = logits_NV.topk(min(options.top_k or count, count), dim=1)
    p_NC = (logits_NC.to(uniform_N.device).double() / options.temperature).softmax(1)
    if is_cut:
        p_NC = p_NC.masked_fill(p_NC.cumsum(1) - p_NC >= options.top_p, 0.0)
    up_to_NC = p_NC.cumsum(1)
    total_N1 = up_to_NC[:, -1:]
    # Rounding may carry the product up to the sum, past the end of what is possible.
    drawn_N1 = (uniform_N[:, None] * total_N1).minimum(total_N1.nextafter(torch.zeros_like(total_N1)))
    chosen_N1 = torch.searchsorted(up_to_NC, drawn_N1, right=True).clamp(max=logits_NC.shape[1] - 1)
    return token_NC.gather(1, chosen_N1.to(token_NC.device))[:, 0]
