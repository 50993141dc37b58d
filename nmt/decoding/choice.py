"""Which continuations of a beam end, and which go on."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.decoding.topk import top_continuations

NOTHING = float("-inf")
"""The log-probability of an empty place."""


@dataclass(frozen=True)
class Choice:
    """What becomes of the K hypotheses of each of B sentences. Log-probabilities are those of the whole so far."""

    ending_BK: Tensor
    ending_parent_BK: Tensor
    """The hypotheses (indices into K) that end."""
    going_BK: Tensor
    parent_BK: Tensor
    """The hypotheses (indices into K) that go on, with the piece:"""
    token_BK: Tensor


def choose(logits_BKV: Tensor, offset_BK: Tensor, eos: int, options: DecodingOptions) -> Choice:
    """Of the 2k best continuations of each group of k, those that end among the first k, and the best k others.

    Args:
        logits_BKV: what is forbidden is -inf.
        offset_BK: log-probability so far, less the normaliser of the logits.
        eos: id of EOS.
        options: beam and groups.
    """
    size = options.beam_size // options.beam_groups
    ending, going = [], []
    for best_BC, parent_BC, token_BC in _continuations(logits_BKV, offset_BK, options):
        ends_BC = token_BC == eos
        ending.append((best_BC.masked_fill(~ends_BC, NOTHING)[:, :size], parent_BC[:, :size]))
        going_Bk, kept_Bk = best_BC.masked_fill(ends_BC, NOTHING).topk(size, dim=1)
        going.append((going_Bk, parent_BC.gather(1, kept_Bk), token_BC.gather(1, kept_Bk)))
    return Choice(*(torch.cat(parts, dim=1) for parts in (*zip(*ending, strict=True), *zip(*going, strict=True))))


def _continuations(
    logits_BKV: Tensor, offset_BK: Tensor, options: DecodingOptions
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each group the 2k best continuations: log-probability, hypothesis (index into K) and piece. [B, 2k]"""
    size = options.beam_size // options.beam_groups
    if options.beam_groups == 1:
        yield top_continuations(logits_BKV, offset_BK, 2 * size)
        return
    times_chosen_BV = torch.zeros_like(logits_BKV[:, 0])
    for start in range(0, options.beam_size, size):
        group = slice(start, start + size)
        penalty_BV = options.diversity * times_chosen_BV
        best_BC, parent_BC, token_BC = top_continuations(
            logits_BKV[:, group] - penalty_BV[:, None], offset_BK[:, group], 2 * size
        )
        times_chosen_BV.scatter_add_(1, token_BC[:, :size], torch.ones_like(best_BC[:, :size]))
        yield best_BC + penalty_BV.gather(1, token_BC), parent_BC + start, token_BC
