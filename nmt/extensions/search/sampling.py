"""Random samples from the distribution of a model."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

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
    uniform_NT = torch.cat([uniform_numbers(options.seed, ids[:n], num_samples, longest) for ids, n in rows]).to(device)
    sentence_N = torch.arange(len(batch.source_BS), device=device).repeat_interleave(num_samples)
    state = model.start(batch.source_BS, batch.source_length_B).reorder(sentence_N)
    tokens_Nt = torch.full((len(sentence_N), 1), target.sos, device=device)
    log_p_N = torch.zeros(len(sentence_N), device=device)
    ended_N = torch.zeros(len(sentence_N), dtype=torch.bool, device=device)
    for step in range(longest):  # Bounds ends every sample by then
        batch.before_step()
        output = model.step(tokens_Nt[:, -1], state)
        logits_NV = output.logits_NV.float()
        model_log_p_NV = logits_NV.log_softmax(1)
        for processor in processors:
            processor(logits_NV, tokens_Nt, sentence_N, batch)
        token_N = draw(logits_NV, uniform_NT[:, step], options)
        token_N = token_N.masked_fill(ended_N, target.eos)
        log_p_N += model_log_p_NV.gather(1, token_N[:, None])[:, 0].masked_fill(ended_N, 0.0)
        num_invalid = (~is_valid(logits_NV.amax(1) + log_p_N)).sum()
        read_Nt = tokens_Nt
        tokens_Nt = torch.cat((tokens_Nt, token_N[:, None]), dim=1)
        ended_N |= token_N == target.eos
        num_open, num_wrong = torch.stack(((~ended_N).sum(), num_invalid)).tolist()
        if num_wrong:
            raise explained_search(batch, read_Nt, torch.arange(len(batch.source_BS), device=device), processors)
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
    chosen_N1 = chosen_N1.minimum((p_NC > 0).sum(1, keepdim=True) - 1).clamp(min=0)
    return token_NC.gather(1, chosen_N1)[:, 0]
