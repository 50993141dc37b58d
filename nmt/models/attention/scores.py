"""The score functions of attention over a recurrent encoder's annotations.

Each computes a score for a query (the decoder's state) and a position of the memory (an annotation h_i).
"""

import math
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.config import Options
from nmt.models.interfaces import Attention, Memory


class ScoreOptions(Options):
    """Options of a score without parameters of its own."""


class SizedScoreOptions(Options):
    """Options of a score with a hidden layer."""

    size: int = Field(256, ge=1, description="width of the hidden layer A")


class AdditiveAttention(Attention):
    """Bahdanau et al. 2015: score = vᵀ tanh(W s + U h_i). Concat of Luong et al. 2015 is the same function."""

    Options = SizedScoreOptions

    def __init__(self, options: SizedScoreOptions, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, options.size)
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


class DotAttention(Attention):
    """Luong et al. 2015: score = sᵀ h_i. Query and memory must have the same width."""

    Options = ScoreOptions

    def __init__(self, options: ScoreOptions, query_size: int, memory_size: int) -> None:
        super().__init__()
        if query_size != memory_size:
            raise ValueError(
                f"dot attention needs a decoder as wide as the encoder's output ({memory_size}), not {query_size}"
            )

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        return torch.bmm(query_BQD.to(memory.values_BSD.dtype), memory.values_BSD.transpose(1, 2))


class ScaledDotAttention(DotAttention):
    """Vaswani et al. 2017, with one head and no projections: score = sᵀ h_i / √D."""

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        return super().scores(query_BQD, memory) / math.sqrt(query_BQD.shape[-1])


class GeneralAttention(Attention):
    """Luong et al. 2015: score = sᵀ W h_i."""

    Options = ScoreOptions

    def __init__(self, options: ScoreOptions, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def prepare(self, memory: Memory) -> Memory:
        return replace(memory, keys=self.key(memory.values_BSD))

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        return torch.bmm(query_BQD.to(memory.keys.dtype), memory.keys.transpose(1, 2))
