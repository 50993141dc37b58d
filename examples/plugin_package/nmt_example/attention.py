"""An attention score."""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.contracts import Attention, Memory
from nmt.recipe.options import Options


class DistanceOptions(Options):
    """Options of ``attention: distance``."""

    size: int = Field(64, ge=1, description="width of the space in which distances are measured")


class DistanceAttention(Attention):
    """score = -‖W s - U h_i‖ / √A: the nearer, the more attention."""

    Options = DistanceOptions

    def __init__(self, options: DistanceOptions, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, options.size)
        self.key = nn.Linear(memory_size, options.size, bias=False)

    def prepare(self, memory: Memory) -> Memory:
        return replace(memory, keys=self.key(memory.values_BSD))

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        query_BQA = self.query(query_BQD)
        return -torch.cdist(query_BQA, memory.keys.to(query_BQA.dtype)) / query_BQA.shape[-1] ** 0.5
