"""Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2), and caches of its keys and values."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.contracts import PerSource
from nmt.models.layers import Dropout

KeysValues = tuple[Tensor, Tensor]
"""Each [B, H, S, d]."""


class MultiHeadAttention(nn.Module):
    """softmax(Q Kᵀ / √d) V for each of H heads, concatenated and projected.

    Args:
        width: D of queries and output.
        num_heads: H; the width of a head is d = D / H.
        dropout: of the attention weights.
        memory_width: D of keys and values; the same as ``width`` for self-attention.
    """

    def __init__(self, width: int, num_heads: int, dropout: float, memory_width: int | None = None) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"a width of {width} can't be split among {num_heads} heads: choose a multiple")
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(memory_width or width, 2 * width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def split_heads(self, x_BTD: Tensor) -> Tensor:
        """[B, T, D] -> [B, H, T, d], a view."""
        return torch.unflatten(x_BTD, 2, (self.num_heads, -1)).transpose(1, 2)

    def project(self, memory_BSD: Tensor) -> KeysValues:
        """Keys and values, each [B, H, S, d]: computed once a sentence for a memory, once a token for a cache."""
        keys_BSD, values_BSD = self.key_value(memory_BSD).chunk(2, dim=2)
        return self.split_heads(keys_BSD), self.split_heads(values_BSD)

    def forward(
        self, query_BTD: Tensor, keys_values: KeysValues, bias: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query_BTD: the positions that ask.
            keys_values: from :meth:`project`.
            bias: added to the scores, broadcast to [B, H, T, S]; -inf where a position may not look.
            need_weights: return the weights, too.

        Returns:
            The result [B, T, D], and the weights [B, H, T, S] if asked for.
        """
        queries_BHTd = self.split_heads(self.query(query_BTD))
        keys_BHSd, values_BHSd = keys_values
        if need_weights or queries_BHTd.device.type == "cpu":
            heads_BHTd, weights_BHTS = self._explicit(queries_BHTd, keys_BHSd, values_BHSd, bias)
        else:
            rate, bias = self.dropout.rate if self.training else 0.0, bias.to(queries_BHTd.dtype)
            heads_BHTd = F.scaled_dot_product_attention(queries_BHTd, keys_BHSd, values_BHSd, bias, rate)
            weights_BHTS = None
        out_BTD = self.out(heads_BHTd.transpose(1, 2).flatten(2))
        return out_BTD, weights_BHTS if need_weights else None

    def _explicit(
        self, queries_BHTd: Tensor, keys_BHSd: Tensor, values_BHSd: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Matrix product, softmax, matrix product. On a CPU the backward pass of the fused kernel is slower."""
        scores_BHTS = torch.matmul(queries_BHTd * queries_BHTd.shape[-1] ** -0.5, keys_BHSd.transpose(2, 3))
        scores_BHTS = scores_BHTS + bias.to(scores_BHTS.dtype)
        # In the scores' own type: autocast would widen it, and at these lengths bfloat16's softmax is exact enough.
        with torch.autocast(scores_BHTS.device.type, enabled=False):
            weights_BHTS = scores_BHTS.softmax(dim=-1)
        return torch.matmul(self.dropout(weights_BHTS), values_BHSd), weights_BHTS


def weights_by_row(weights_BHQS: Tensor, num_new: int) -> Tensor:
    """From the weights of each sentence's Q = K·T positions to those of its K hypotheses. [N, H, T, S]"""
    return torch.unflatten(weights_BHQS, 2, (-1, num_new)).transpose(1, 2).flatten(0, 1)


def padding_bias(mask_BS: Tensor) -> Tensor:
    """Zero at real positions and -inf at padding. [B, 1, 1, S]"""
    return mask_bias(mask_BS)[:, None, None, :]


def mask_bias(mask: Tensor) -> Tensor:
    """Zero where a mask is True, -inf where it is False."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))


FIRST_CAPACITY = 64
"""Slots a sentence that a buffer begins with; it doubles when it is full."""


class _Written:
    """Number of written slots of a buffer, for all caches that share it."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots


@dataclass(frozen=True)
class Cache(PerSource):
    """The first ``num_slots`` of C slots. A cache never changes: :meth:`append` gives a longer one."""

    keys_BHCd: Tensor
    values_BHCd: Tensor
    num_slots: int
    written: _Written

    @classmethod
    def empty(cls, like: KeysValues) -> Self:
        """A cache without slots, for keys and values of the given sizes and type."""
        return cls(like[0][:, :, :0], like[1][:, :, :0], 0, _Written(0))

    @property
    def keys_values(self) -> KeysValues:
        """Returns the keys and values of all written slots, as views."""
        return self.keys_BHCd[:, :, : self.num_slots], self.values_BHCd[:, :, : self.num_slots]

    def append(self, keys_values: KeysValues) -> "Cache":
        """The cache with new slots behind its own. Nothing is copied while there is room."""
        num_slots = self.num_slots + keys_values[0].shape[2]
        if not self.num_slots:
            return Cache(*keys_values, num_slots, _Written(num_slots))
        if torch.is_grad_enabled():  # what the backward pass will read must not be written to
            joined = [torch.cat(pair, dim=2) for pair in zip(self.keys_values, keys_values, strict=True)]
            return Cache(joined[0], joined[1], num_slots, _Written(num_slots))
        keys, values, written = self.keys_BHCd, self.values_BHCd, self.written
        # Somebody else may have gone on from here and have written to the slots behind ours.
        if num_slots > keys.shape[2] or written.num_slots != self.num_slots:
            capacity = max(2 * num_slots, FIRST_CAPACITY)
            keys, values = (part.new_empty(*part.shape[:2], capacity, part.shape[3]) for part in keys_values)
            keys[:, :, : self.num_slots], values[:, :, : self.num_slots] = self.keys_values
            written = _Written(self.num_slots)
        keys[:, :, self.num_slots : num_slots], values[:, :, self.num_slots : num_slots] = keys_values
        written.num_slots = num_slots
        return Cache(keys, values, num_slots, written)

    def keep(self, slots_BC: Tensor) -> "Cache":
        """The cache with these of its slots alone, and room for as many more behind them."""
        (num_sentences, num_slots), (_, num_heads, capacity, _) = slots_BC.shape, self.keys_BHCd.shape
        first_BH = torch.arange(num_sentences * num_heads, device=slots_BC.device).view(num_sentences, -1) * capacity
        index = (first_BH[:, :, None] + F.pad(slots_BC, (0, num_slots))[:, None]).flatten()
        keys, values = (
            torch.unflatten(room.flatten(0, 2).index_select(0, index), 0, (num_sentences, num_heads, -1))
            for room in (self.keys_BHCd, self.values_BHCd)
        )
        return Cache(keys, values, num_slots, _Written(num_slots))

    def select(self, sentences: Tensor) -> "Cache":
        # The room behind the slots comes along: without it, the next append would copy everything once more.
        keys, values = (room.index_select(0, sentences) for room in (self.keys_BHCd, self.values_BHCd))
        return Cache(keys, values, self.num_slots, _Written(self.num_slots))
