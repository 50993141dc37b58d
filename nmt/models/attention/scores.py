"""The score functions of attention over a recurrent encoder's annotations.

Each computes a score for a query (the decoder's state) and a position of the memory (an annotation h_i).
"""

import math
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.contracts import Attention, Memory
from nmt.models.layers import inverse_softplus
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
        return self.compare(self.query(query_BQD), memory.keys)

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
