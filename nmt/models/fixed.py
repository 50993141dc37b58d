"""State of a Transformer whose tensors keep their shapes, so that a GPU can repeat a recorded step of a search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.models.attention import Cache, KeysValues
from nmt.models.contracts import Memory, PerSource, State

ALIGNMENT = 8  # slots are a multiple of this many, as PyTorch's fused attention with a mask wants them


class _Slots:
    """The slots that the tokens of the present step belong to, for all caches of a state. [K]"""

    own_K: Tensor


@dataclass(frozen=True)
class FixedCache(PerSource):
    """Slots for all tokens of a search. Unlike :class:`nmt.models.attention.Cache` it is written in place."""

    keys_BHCd: Tensor
    values_BHCd: Tensor
    slots: _Slots

    @property
    def keys_values(self) -> KeysValues:
        """Returns the keys and values of all slots, zeros where nothing was written."""
        return self.keys_BHCd, self.values_BHCd

    def append(self, keys_values: KeysValues) -> Self:
        """Writes a token of each hypothesis into its slot."""
        for room_BHCd, new_BHKd in zip(self.keys_values, keys_values, strict=True):
            room_BHCd.index_copy_(2, self.slots.own_K, new_BHKd)
        return self


@dataclass(frozen=True)
class FixedState(State):
    """State of a decoder of Transformer layers, as ``TransformerState``, for a number of steps of one token.

    Hypothesis k of a sentence has slot ``first_slot`` + K·t + k at step t, and sees its ancestors' slots alone.
    """

    memory: Memory
    caches: tuple[FixedCache, ...]
    ancestor_NC: Tensor
    num_tokens: Tensor  # position of the next token. [1]
    first_position: int
    first_slot: int

    @classmethod
    def of(cls, memory: Memory, caches: Sequence[Cache], ancestor_NC: Tensor, num_tokens: int) -> Self:
        """The fixed state after the tokens of another one, without room for more; see ``TransformerState``."""
        slots, num_slots = _Slots(), ancestor_NC.shape[1]
        fixed = tuple(FixedCache(*cache.keys_values, slots=slots) for cache in caches)
        position_1 = torch.full((1,), num_tokens, device=ancestor_NC.device)
        return cls(memory, fixed, ancestor_NC, position_1, num_tokens, num_slots)

    @property
    def num_hypotheses(self) -> int:
        return len(self.ancestor_NC) // len(self.memory.mask_BS)

    def with_room(self, num_steps: int) -> Self:
        """The same state with room for a number of steps, counted from the first one. New room is zero."""
        num_slots = self.first_slot + self.num_hypotheses * num_steps
        more = num_slots + -num_slots % ALIGNMENT - self.ancestor_NC.shape[1]
        pad = (0, 0, 0, more)
        caches = tuple(
            FixedCache(F.pad(cache.keys_BHCd, pad), F.pad(cache.values_BHCd, pad), cache.slots) for cache in self.caches
        )
        return replace(self, caches=caches, ancestor_NC=F.pad(self.ancestor_NC, (0, more)))

    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        state = replace(self, ancestor_NC=self.ancestor_NC.index_select(0, rows))
        if sentences is None:
            return state
        caches = tuple(cache.select(sentences) for cache in self.caches)
        return replace(state, memory=self.memory.select(sentences), caches=caches)

    def visible_slots(self, num_new: int) -> Tensor:
        """The slots that each row's token may see: its ancestors' and its own, which is told the caches. [N, 1, C]"""
        assert num_new == 1, "a fixed state is advanced token by token"
        (num_rows, num_slots), device = self.ancestor_NC.shape, self.ancestor_NC.device
        own_K = torch.arange(self.first_slot, self.first_slot + self.num_hypotheses, device=device)
        own_K = own_K + (self.num_tokens - self.first_position) * self.num_hypotheses
        for cache in self.caches:
            cache.slots.own_K = own_K
        own_KC = own_K[:, None] == torch.arange(num_slots, device=device)
        ancestor_BKC = torch.unflatten(self.ancestor_NC, 0, (-1, self.num_hypotheses))
        return (ancestor_BKC | own_KC).view(num_rows, 1, num_slots)
