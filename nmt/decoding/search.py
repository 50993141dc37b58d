"""Beam search over any decoder: it knows ``start``, ``step`` and ``reorder``, and nothing else about the model.

B sentences still in the batch, K hypotheses of each, V vocabulary, t tokens so far.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.batching import Ids, by_length, lengths, pad
from nmt.data.vocabulary import Vocabularies, Vocabulary
from nmt.decoding.penalties import length_penalty
from nmt.models.seq2seq import Seq2Seq


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation, in ids, without SOS and EOS."""

    ids: list[int]
    score: float
    """Log-probability divided by the length penalty: what hypotheses are ranked by."""
    log_probability: float


def max_lengths(source_length_B: Tensor, options: DecodingOptions) -> Tensor:
    """The most pieces, EOS counted, that each translation may have. [B]"""
    return (source_length_B * options.max_length_ratio).long() + options.max_length_extra


@torch.inference_mode()
def beam_search(
    model: Seq2Seq, source_BS: Tensor, source_length_B: Tensor, target: Vocabulary, options: DecodingOptions
) -> list[list[Hypothesis]]:
    """The best translations of a batch, best first, at most ``options.beam_size`` of each sentence.

    Of the 2K best continuations of a sentence, those that end among the first K are finished, and the best K that
    go on are kept. A sentence leaves the batch when it has K finished hypotheses and the best unfinished one scores no
    better so far than the best of them: stopping at K alone favours short translations. A beam of 1 is greedy search.
    """
    beam = options.beam_size
    limit_B = max_lengths(source_length_B, options)
    state = model.decoder.start(model.encode(source_BS, source_length_B))
    num_sentences, device = len(source_BS), source_BS.device
    finished: list[list[Hypothesis]] = [[] for _ in range(num_sentences)]
    num_finished_B = torch.zeros(num_sentences, dtype=torch.long, device=device)
    best_finished_B = torch.full((num_sentences,), float("-inf"), device=device)
    sentence_B = torch.arange(num_sentences, device=device)
    state = state.reorder(sentence_B.repeat_interleave(beam))
    tokens_BKt = torch.full((num_sentences, beam, 1), target.sos, device=device)
    # All hypotheses start equal, so at first only one of them may be continued.
    score_BK = torch.full((num_sentences, beam), float("-inf"), device=device)
    score_BK[:, 0] = 0.0
    forbidden = torch.tensor([target.pad, target.sos], device=device)

    while len(sentence_B):
        output = model.step(tokens_BKt[:, :, -1].flatten(), state)
        log_p_BKV = torch.unflatten(output.logits_NV.float().log_softmax(-1), 0, (-1, beam))
        log_p_BKV[:, :, forbidden] = float("-inf")
        _force_end(log_p_BKV, limit_B <= tokens_BKt.shape[2], target.eos)
        best_B2K, index_B2K = (score_BK[:, :, None] + log_p_BKV).flatten(1).topk(2 * beam, dim=1)
        parent_B2K, token_B2K = index_B2K // log_p_BKV.shape[2], index_B2K % log_p_BKV.shape[2]
        ends_B2K = token_B2K == target.eos

        length = tokens_BKt.shape[2]  # of what ends here: SOS is in, EOS is not
        ended_BK = ends_B2K[:, :beam] & best_B2K[:, :beam].isfinite()
        ended_score_BK = best_B2K[:, :beam] / length_penalty(options, length)
        for row, rank in ended_BK.nonzero().tolist():
            ids = tokens_BKt[row, parent_B2K[row, rank], 1:].tolist()
            hypothesis = Hypothesis(ids, float(ended_score_BK[row, rank]), float(best_B2K[row, rank]))
            finished[sentence_B[row]].append(hypothesis)
        num_finished_B += ended_BK.sum(1)
        best_finished_B = best_finished_B.maximum(ended_score_BK.masked_fill(~ended_BK, float("-inf")).amax(1))

        score_BK, kept_BK = best_B2K.masked_fill(ends_B2K, float("-inf")).topk(beam, dim=1)
        parent_BK, token_BK = parent_B2K.gather(1, kept_BK), token_B2K.gather(1, kept_BK)
        could_win_B = score_BK[:, 0] / length_penalty(options, length) > best_finished_B
        going_on = ((num_finished_B < beam) | could_win_B) & score_BK[:, 0].isfinite()
        stay = going_on.nonzero().squeeze(1)
        everybody = len(stay) == len(sentence_B)
        rows = (stay[:, None] * beam + parent_BK[stay]).flatten()
        state = output.state.reorder(rows, None if everybody else stay)
        tokens_BKt = torch.unflatten(tokens_BKt.flatten(0, 1)[rows], 0, (-1, beam))
        tokens_BKt = torch.cat((tokens_BKt, token_BK[stay][:, :, None]), dim=2)
        score_BK, sentence_B, limit_B = score_BK[stay], sentence_B[stay], limit_B[stay]
        num_finished_B, best_finished_B = num_finished_B[stay], best_finished_B[stay]
    return [sorted(hypotheses, key=lambda h: -h.score)[:beam] for hypotheses in finished]


def _force_end(log_p_BKV: Tensor, at_limit_B: Tensor, eos: int) -> None:
    """Leave EOS as the only choice where a sentence has reached its limit."""
    if at_limit_B.any():
        end = log_p_BKV[at_limit_B][:, :, eos].clone()
        log_p_BKV[at_limit_B] = float("-inf")
        log_p_BKV[at_limit_B.nonzero().squeeze(1), :, eos] = end


def search_all(
    model: Seq2Seq,
    sources: Sequence[Ids],
    vocabularies: Vocabularies,
    options: DecodingOptions,
    on_progress: Callable[[int], None] = lambda sentences: None,
) -> list[list[Hypothesis]]:
    """Translate any number of encoded sentences: sorted by length, in batches, back in their own order.

    Args:
        model: in eval mode.
        sources: ids of each sentence, without EOS.
        vocabularies: for the special ids.
        options: beam, penalties and batch size.
        on_progress: called with the number of sentences of each finished batch.
    """
    device = next(model.parameters()).device
    results: list[list[Hypothesis]] = [[] for _ in sources]
    for chunk in by_length([len(source) for source in sources], options.batch_size):
        batch = [sources[i] for i in chunk]
        source_BS = pad(batch, vocabularies.source, eos=True).to(device)
        found = beam_search(model, source_BS, lengths(batch).to(device), vocabularies.target, options)
        for index, hypotheses in zip(chunk, found, strict=True):
            results[index] = hypotheses
        on_progress(len(chunk))
    return results
