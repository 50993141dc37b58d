"""Attention: score functions of a recurrent decoder, and multi-head attention with caches of its keys and values.

A score function computes a score for a query (the decoder's state) and a position of the memory (an annotation h_i).
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from nmt.models.contracts import Attention, Memory, PerSource
from nmt.models.gpu_kernels import GpuKernels, gpu_kernels
from nmt.models.layers import Dropout, Linear, inverse_softplus, linear
from nmt.models.loops import step_layer
from nmt.recipe.options import ChoiceOf, Options, as_mapping

AttentionField = Annotated[dict[str, Any], BeforeValidator(as_mapping), ChoiceOf("attention")]
"""The type of an option ``attention``."""


class SizedScoreOptions(Options):
    """Options of a score with a hidden layer."""

    size: int = Field(256, ge=1, le=10_000, description="width of the hidden layer A")


class AdditiveAttention(Attention):
    """Bahdanau et al. 2015: score = vᵀ tanh(W s + U h_i + b)."""

    Options = SizedScoreOptions
    has_bias = True

    def __init__(self, options: SizedScoreOptions, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, options.size, bias=self.has_bias)
        self.key = nn.Linear(memory_size, options.size, bias=False)
        self.score = nn.Linear(options.size, 1, bias=False)

    def prepare(self, memory: Memory) -> Memory:
        return replace(memory, keys=self.key(memory.values_BSD))

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        return self.compare(step_layer(self.query, query_BQD), memory.keys)

    def compare(self, query_BQA: Tensor, keys_BSA: Tensor) -> Tensor:
        """The score of projected queries and keys."""
        hidden_BQSA: Tensor = (query_BQA[:, :, None] + keys_BSA[:, None]).tanh()
        # A product with a vector rather than a one-column linear layer, which is slow on a CPU.
        return hidden_BQSA @ self.score.weight[0].to(hidden_BQSA.dtype)


class ConcatAttention(AdditiveAttention):
    """Luong et al. 2015: score = vᵀ tanh(W [s; h_i]), computed as Bahdanau's with the two halves of W."""

    has_bias = False


class DotAttention(Attention):
    """Luong et al. 2015: score = sᵀ h_i. Query and memory must have the same width."""

    def __init__(self, options: Options, query_size: int, memory_size: int) -> None:
        super().__init__()
        if query_size != memory_size:
            raise ValueError(
                "dot attention and cosine attention without projection need a decoder as wide as the encoder's "
                f"output ({memory_size}), not {query_size}"
            )

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        return torch.bmm(query_BQD.to(memory.values_BSD.dtype), memory.values_BSD.transpose(1, 2))


class ScaledDotAttention(DotAttention):
    """Vaswani et al. 2017, with one head and no projections: score = sᵀ h_i / √D."""

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        return super().scores(query_BQD, memory) / math.sqrt(query_BQD.shape[-1])


class GeneralAttention(Attention):
    """Luong et al. 2015: score = sᵀ W h_i."""

    def __init__(self, options: Options, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def prepare(self, memory: Memory) -> Memory:
        return replace(memory, keys=self.key(memory.values_BSD))

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        return torch.bmm(query_BQD.to(memory.keys.dtype), memory.keys.transpose(1, 2))


class CosineAttention(Attention):
    """Content addressing of Graves et al. 2014, equations 5 and 6: score = β cos(k, h_i).

    The query emits the key k = W s + b and the strength β = softplus(wᵀ s + c) > 0, as the heads of a Neural Turing
    Machine do.
    """

    class Options(Options):
        strength: float = Field(10.0, gt=0, description="key strength β for a query of zeros, before any training")

    def __init__(self, options: Options, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(query_size, memory_size)
        self.strength = nn.Linear(query_size, 1)
        with torch.no_grad():
            self.strength.bias.fill_(inverse_softplus(options.strength))

    def prepare(self, memory: Memory) -> Memory:
        return replace(memory, keys=F.normalize(memory.values_BSD, dim=-1))

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        key_BQD = F.normalize(self.key(query_BQD), dim=-1).to(memory.keys.dtype)
        cosine_BQS = torch.bmm(key_BQD, memory.keys.transpose(1, 2))
        return F.softplus(self.strength(query_BQD)) * cosine_BQS


class PlainCosineAttention(DotAttention):
    """score = cos(s, h_i), without weights. Query and memory must have the same width.

    Scores lie between -1 and 1, so that of S positions none gets more than e² times the weight of another.
    """

    def prepare(self, memory: Memory) -> Memory:
        return replace(memory, keys=F.normalize(memory.values_BSD, dim=-1))

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        query_BQD = F.normalize(query_BQD, dim=-1).to(memory.keys.dtype)
        return torch.bmm(query_BQD, memory.keys.transpose(1, 2))


class LocationAttention(Attention):
    """Luong et al. 2015, equation 8: a = softmax(W s), a score for each position that depends on the query alone.

    A source may be longer than ``max_positions``; its further positions get no weight.
    """

    class Options(Options):
        max_positions: int = Field(
            150, ge=1, le=1_000_000, description="positions that can be attended to, the first ones of a source"
        )

    def __init__(self, options: Options, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.max_positions = options.max_positions
        self.position = nn.Linear(query_size, options.max_positions, bias=False)

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        beyond = memory.mask_BS.shape[1] - self.max_positions
        # A negative pad cuts off what a shorter source doesn't have.
        return F.pad(self.position(query_BQD), (0, beyond), value=float("-inf"))


SHORT = 64  # positions up to which the memory-efficient kernel is faster than FlashAttention with its tiles of 128
SHORT_KERNELS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

KeysValues = tuple[Tensor, Tensor]  # each [B, H, S, d]


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
        self.query = Linear(width, width)
        self.key_value = Linear(memory_width or width, 2 * width)
        self.out = Linear(width, width)
        self.dropout = Dropout(dropout)

    def split_heads(self, x_BTD: Tensor) -> Tensor:
        """[B, T, D] -> [B, H, T, d], a view."""
        return torch.unflatten(x_BTD, 2, (self.num_heads, -1)).transpose(1, 2)

    def project(self, memory_BSD: Tensor) -> KeysValues:
        """Keys and values, each [B, H, S, d]: computed once a sentence for a memory, once a token for a cache."""
        keys_BSD, values_BSD = self.key_value(memory_BSD).chunk(2, dim=2)
        return self.split_heads(keys_BSD), self.split_heads(values_BSD)

    def project_self(self, x_BTD: Tensor) -> tuple[Tensor | None, KeysValues]:
        """Queries, keys and values of the same vectors: one product in training on a GPU, where the number of kernels
        counts. Elsewhere :meth:`forward` makes the queries."""
        if x_BTD.is_cpu or not self.training:
            return None, self.project(x_BTD)
        weight = torch.cat((self.query.weight, self.key_value.weight))
        joined_BTX = linear(x_BTD, weight, torch.cat((self.query.bias, self.key_value.bias)))
        queries, keys, values = (self.split_heads(part) for part in joined_BTX.chunk(3, dim=2))
        return queries, (keys, values)

    def forward(
        self,
        query_BTD: Tensor,
        keys_values: KeysValues,
        bias: Tensor | None,
        need_weights: bool = False,
        queries_BHTd: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query_BTD: the positions that ask.
            keys_values: from :meth:`project`.
            bias: added to the scores, broadcast to [B, H, T, S]; -inf where a position may not look. None where each
                of T positions looks at itself and those before it; not for weights, nor on a CPU.
            need_weights: return the weights, too.
            queries_BHTd: those of the positions, where :meth:`project_self` has made them.

        Returns:
            The result [B, T, D], and the weights [B, H, T, S] if asked for.
        """
        if queries_BHTd is None:
            queries_BHTd = self.split_heads(self.query(query_BTD))
        keys_BHSd, values_BHSd = keys_values
        if bias is not None and (need_weights or queries_BHTd.device.type == "cpu"):
            heads_BHTd, weights_BHTS = self._explicit(queries_BHTd, keys_BHSd, values_BHSd, bias)
        elif (kernels := self._kernels(queries_BHTd, keys_BHSd, bias)) is not None:
            key_bias_BS = None if bias is None else bias[:, 0, 0]
            heads_BHTd, weights_BHTS = kernels.attend(queries_BHTd, keys_BHSd, values_BHSd, key_bias_BS), None
        else:
            bias = None if bias is None else bias.to(queries_BHTd.dtype)
            is_short = self.training and max(queries_BHTd.shape[2], keys_BHSd.shape[2]) <= SHORT
            with sdpa_kernel(SHORT_KERNELS) if is_short else nullcontext():
                heads_BHTd = F.scaled_dot_product_attention(
                    queries_BHTd,
                    keys_BHSd,
                    values_BHSd,
                    bias,
                    dropout_p=self.dropout.rate if self.training else 0.0,
                    is_causal=bias is None,  # without a mask in memory
                )
            weights_BHTS = None
        out_BTD = self.out(heads_BHTd.transpose(1, 2).flatten(2))
        return out_BTD, weights_BHTS if need_weights else None

    def _kernels(self, queries_BHTd: Tensor, keys_BHSd: Tensor, bias: Tensor | None) -> GpuKernels | None:
        """Returns kernels of an extension if they can compute this attention."""
        length, size = max(queries_BHTd.shape[2], keys_BHSd.shape[2]), queries_BHTd.shape[3]
        is_supported = size in (16, 32, 64, 128) and (bias is None or bias.shape[1:3] == (1, 1))
        if not self.training or self.dropout.rate or not is_supported:
            return None
        kernels = gpu_kernels(queries_BHTd)
        return kernels if kernels is not None and length <= kernels.longest else None

    def _explicit(
        self, queries_BHTd: Tensor, keys_BHSd: Tensor, values_BHSd: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Matrix product, softmax, matrix product. On a CPU the backward pass of the fused kernel is slower."""
        scores_BHTS = torch.matmul(queries_BHTd * queries_BHTd.shape[-1] ** -0.5, keys_BHSd.transpose(2, 3))
        weights_BHTS = biased_softmax(scores_BHTS, bias)
        return torch.matmul(self.dropout(weights_BHTS), values_BHSd), weights_BHTS


WIDE_ENOUGH = 32  # number of scores in a row from which on the softmax of a CPU is fast in bfloat16
VECTOR = 16  # number of float32 scores from which on it is fast: the width of a vector register of AVX-512


def biased_softmax(scores_BHTS: Tensor, bias: Tensor) -> Tensor:
    """The softmax of scores plus a bias over the last dimension, in the type of the scores.

    On a CPU, PyTorch's softmax of rows that are shorter than a vector register goes number by number, and takes longer
    than both products of the attention. Short rows are therefore computed in float32, and the shortest are filled up
    with -inf.
    """
    dtype, length = scores_BHTS.dtype, scores_BHTS.shape[-1]
    # A compiled or exported model must not depend on the length of the first sentences.
    is_short = scores_BHTS.device.type == "cpu" and not torch.compiler.is_compiling() and length < WIDE_ENOUGH
    wide = torch.promote_types(dtype, torch.float32) if is_short else dtype
    scores_BHTS = scores_BHTS.to(wide) + bias.to(wide)
    # Otherwise in the scores' own type: autocast would widen it, and bfloat16 is exact enough for attention.
    with torch.autocast(scores_BHTS.device.type, enabled=False):
        if is_short and length < VECTOR:
            filled_BHTV = F.pad(scores_BHTS, (0, VECTOR - length), value=float("-inf"))
            return filled_BHTV.softmax(dim=-1)[..., :length].to(dtype)
        return scores_BHTS.softmax(dim=-1).to(dtype)


def weights_by_row(weights_BHQS: Tensor, num_new: int) -> Tensor:
    """From the weights of each sentence's Q = K·T positions to those of its K hypotheses. [N, H, T, S]"""
    return torch.unflatten(weights_BHQS, 2, (-1, num_new)).transpose(1, 2).flatten(0, 1)


def padding_bias(mask_BS: Tensor) -> Tensor:
    """Zero at real positions and -inf at padding. [B, 1, 1, S]"""
    return mask_bias(mask_BS)[:, None, None, :]


def mask_bias(mask: Tensor) -> Tensor:
    """Zero where a mask is True, -inf where it is False."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))


FIRST_CAPACITY = 64  # slots a sentence that a buffer begins with; it doubles when it is full


class _SlotCount:
    """Number of written slots of a buffer, for all caches that share it."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots


@dataclass(frozen=True)
class Cache(PerSource):
    """The first ``num_slots`` of C slots. A cache never changes: :meth:`append` gives a longer one."""

    keys_BHCd: Tensor
    values_BHCd: Tensor
    num_slots: int
    written: _SlotCount

    @classmethod
    def empty(cls, like: KeysValues) -> Self:
        """A cache without slots, for keys and values of the given sizes and type."""
        return cls(like[0][:, :, :0], like[1][:, :, :0], 0, _SlotCount(0))

    @property
    def keys_values(self) -> KeysValues:
        """Returns the keys and values of all written slots, as views."""
        return self.keys_BHCd[:, :, : self.num_slots], self.values_BHCd[:, :, : self.num_slots]

    def append(self, keys_values: KeysValues) -> "Cache":
        """The cache with new slots behind its own. Nothing is copied while there is room."""
        num_slots = self.num_slots + keys_values[0].shape[2]
        if not self.num_slots:
            return Cache(*keys_values, num_slots, _SlotCount(num_slots))
        if torch.is_grad_enabled():  # what the backward pass will read must not be written to
            joined = [torch.cat(pair, dim=2) for pair in zip(self.keys_values, keys_values, strict=True)]
            return Cache(joined[0], joined[1], num_slots, _SlotCount(num_slots))
        keys, values, written = self.keys_BHCd, self.values_BHCd, self.written
        # Somebody else may have gone on from here and have written to the slots behind ours.
        if num_slots > keys.shape[2] or written.num_slots != self.num_slots:
            capacity = max(2 * num_slots, FIRST_CAPACITY)
            keys, values = (part.new_empty(*part.shape[:2], capacity, part.shape[3]) for part in keys_values)
            keys[:, :, : self.num_slots], values[:, :, : self.num_slots] = self.keys_values
            written = _SlotCount(self.num_slots)
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
        return Cache(keys, values, num_slots, _SlotCount(num_slots))

    def select(self, sentences: Tensor) -> "Cache":
        # The room behind the slots comes along: without it, the next append would copy everything once more.
        keys, values = (room.index_select(0, sentences) for room in (self.keys_BHCd, self.values_BHCd))
        return Cache(keys, values, self.num_slots, _SlotCount(self.num_slots))
