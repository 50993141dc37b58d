"""Translations drawn from the model's distribution, the same for a seed whatever else is in the batch.

B sentences still in the batch, K samples of each, N = B·K, V vocabulary, C candidates that may be drawn.
"""

import numpy as np
import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.decoding.finished import Hypothesis
from nmt.decoding.penalties import length_normalised
from nmt.decoding.task import Task
from nmt.decoding.topk import log_normaliser


def uniform_numbers(seed: int, number: int, num_samples: int, length: int) -> Tensor:
    """The random numbers in [0, 1) of one sentence: those of sample k and step t never depend on anything else.

    Args:
        seed: of the run.
        number: of the sentence.
        num_samples, length: K and t.
    """
    draws = [np.random.default_rng((seed, number, sample)).random(length) for sample in range(num_samples)]
    return torch.from_numpy(np.stack(draws))


@torch.inference_mode()
def sample(task: Task) -> list[list[Hypothesis]]:
    """``beam_size`` samples of each sentence, in the order of drawing.

    The length penalty makes their scores; it doesn't choose among them.
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
        model_log_p_NV = logits_NV - log_normaliser(logits_NV)[:, None]
        for rule in task.rules:
            rule(logits_NV, tokens_Nt, sentence_N)
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


def draw(logits_NV: Tensor, uniform_N: Tensor, options: DecodingOptions) -> Tensor:
    """A piece for each row, from its distribution at a temperature, cut off by ``top_k`` and ``top_p``. [N]

    ``top_k`` keeps the k likeliest (Fan et al. 2018); ``top_p`` as few of the likeliest as have together a
    probability of p or more (Holtzman et al. 2020).
    """
    count = min(options.top_k or logits_NV.shape[1], logits_NV.shape[1])
    logits_NC, piece_NC = logits_NV.topk(count, dim=1)
    p_NC = (logits_NC.double() / options.temperature).softmax(1)
    before_NC = p_NC.cumsum(1) - p_NC
    p_NC = p_NC.masked_fill(before_NC >= options.top_p, 0.0)
    up_to_NC = p_NC.cumsum(1)
    chosen_N1 = (up_to_NC <= uniform_N[:, None] * up_to_NC[:, -1:]).sum(1, keepdim=True)
    # Rounding may carry the last sum past the end of what is possible.
    chosen_N1 = chosen_N1.minimum((p_NC > 0).sum(1, keepdim=True) - 1)
    return piece_NC.gather(1, chosen_N1)[:, 0]
