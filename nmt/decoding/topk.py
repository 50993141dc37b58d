"""The best continuations of a beam, without sorting or normalising the whole vocabulary."""

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 64
"""Pieces of the vocabulary that are looked at together. The maxima of blocks are cheap to compute."""


def log_normaliser(logits_NV: Tensor) -> Tensor:
    """log Σ exp over the vocabulary. [N]"""
    highest_N1 = logits_NV.amax(1, keepdim=True)
    return (logits_NV - highest_N1).exp_().sum(1).log_() + highest_N1[:, 0]


def top_continuations(logits_BKV: Tensor, offset_BK: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ``count`` best of all K·V sums ``logits + offset`` of each sentence, best first.

    The ``count`` best elements lie in the ``count`` blocks with the highest maxima, so only these are sorted.

    Returns:
        The sums, the hypothesis (index into K) and the piece (index into V) of each. [B, count]
    """
    num_hypotheses, num_pieces = logits_BKV.shape[1:]
    count = min(count, num_hypotheses * num_pieces)
    if num_pieces % BLOCK:
        logits_BKV = F.pad(logits_BKV, (0, -num_pieces % BLOCK), value=float("-inf"))
    blocks_BKCP = torch.unflatten(logits_BKV, 2, (-1, BLOCK))
    num_blocks = blocks_BKCP.shape[2]
    highest_BM = (blocks_BKCP.amax(3) + offset_BK[:, :, None]).flatten(1)
    block_BM = highest_BM.topk(min(count, highest_BM.shape[1]), dim=1, sorted=False).indices
    chosen_BMP = blocks_BKCP.flatten(1, 2).gather(1, block_BM[:, :, None].expand(-1, -1, BLOCK))
    chosen_BMP = chosen_BMP + offset_BK.gather(1, block_BM // num_blocks)[:, :, None]
    best_BC, index_BC = chosen_BMP.flatten(1).topk(count, dim=1)
    where_BC = block_BM.gather(1, index_BC // BLOCK)
    hypothesis_BC = torch.div(where_BC, num_blocks, rounding_mode="floor")
    # Of forbidden continuations, all at -inf, one of the padding may have been taken: any piece will do.
    piece_BC = (where_BC % num_blocks * BLOCK + index_BC % BLOCK).clamp(max=num_pieces - 1)
    return best_BC, hypothesis_BC, piece_BC
