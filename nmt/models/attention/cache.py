"""Keys and values of the tokens so far, which search never has to copy.

When a beam is reordered, the hypotheses of a sentence take over one another's past. Copying their caches into the
new order would cost more than a third of the time of a step. Here all that any hypothesis of a sentence ever computed
stays where it was written, in a slot, and each hypothesis knows which slots are its ancestors': a mask, which is
cheap to reorder. The K hypotheses ask as if they were K positions of one query. Slots that are nobody's ancestors
any more cost a little arithmetic: small beside the matrix products that a step needs anyway.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from nmt.models.interfaces import PerSource

KeysValues = tuple[Tensor, Tensor]
"""Each [B, H, S, d]."""

FIRST_CAPACITY = 64
"""Slots a sentence that a buffer begins with; it doubles when it is full."""


class _Written:
    """How many slots of a room are written, for all caches that share it."""

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
        """Those of all slots, as views."""
        return self.keys_BHCd[:, :, : self.num_slots], self.values_BHCd[:, :, : self.num_slots]

    def append(self, keys_values: KeysValues) -> "Cache":
        """The cache with new slots behind its own. Nothing is copied while there is room."""
        num_slots = self.num_slots + keys_values[0].shape[2]
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

    def select(self, sentences: Tensor) -> "Cache":
        # The room behind the slots comes along: without it, the next append would copy everything once more.
        keys, values = (room.index_select(0, sentences) for room in (self.keys_BHCd, self.values_BHCd))
        return Cache(keys, values, self.num_slots, _Written(self.num_slots))
