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

from nmt.models.interfaces import PerSentence

KeysValues = tuple[Tensor, Tensor]
"""Each [B, H, S, d]."""

FIRST_CAPACITY = 64
"""Slots a sentence that a buffer begins with; it doubles when it is full."""


class _Buffer:
    """Room for slots, shared by all caches that grew from one another."""

    def __init__(self, keys_BHCd: Tensor, values_BHCd: Tensor) -> None:
        self.keys_BHCd, self.values_BHCd = keys_BHCd, values_BHCd
        self.num_written = 0

    @classmethod
    def with_room(cls, like: KeysValues, capacity: int) -> Self:
        return cls(*(part.new_empty(*part.shape[:2], capacity, part.shape[3]) for part in like))

    def write(self, start: int, keys_values: KeysValues) -> None:
        self.num_written = start + keys_values[0].shape[2]
        for room, part in zip((self.keys_BHCd, self.values_BHCd), keys_values, strict=True):
            room[:, :, start : self.num_written] = part


@dataclass(frozen=True)
class Cache(PerSentence):
    """The first ``num_slots`` slots of a buffer. A cache never changes: :meth:`append` gives a longer one."""

    buffer: _Buffer
    num_slots: int

    @classmethod
    def empty(cls, like: KeysValues) -> Self:
        """A cache without slots, for keys and values of the given sizes and type."""
        return cls(_Buffer.with_room(like, 0), 0)

    @property
    def keys_values(self) -> KeysValues:
        """Those of all slots, as views of the buffer."""
        return self.buffer.keys_BHCd[:, :, : self.num_slots], self.buffer.values_BHCd[:, :, : self.num_slots]

    def append(self, keys_values: KeysValues) -> "Cache":
        """The cache with new slots behind its own. Nothing is copied while the buffer has room."""
        num_slots = self.num_slots + keys_values[0].shape[2]
        if torch.is_grad_enabled():  # what the backward pass will read must not be written to
            joined = tuple(torch.cat(pair, dim=2) for pair in zip(self.keys_values, keys_values, strict=True))
            return Cache(_Buffer(*joined), num_slots)
        buffer = self.buffer
        has_room = num_slots <= buffer.keys_BHCd.shape[2]
        # Somebody else may have gone on from here and have written to the slots behind ours.
        if not has_room or buffer.num_written != self.num_slots:
            buffer = _Buffer.with_room(keys_values, max(2 * num_slots, FIRST_CAPACITY))
            buffer.write(0, self.keys_values)
        buffer.write(self.num_slots, keys_values)
        return Cache(buffer, num_slots)

    def select(self, sentences: Tensor) -> "Cache":
        # The room behind the slots comes along: without it, the next append would copy everything once more.
        rooms = self.buffer.keys_BHCd, self.buffer.values_BHCd
        buffer = _Buffer(*(room.index_select(0, sentences) for room in rooms))
        buffer.num_written = self.num_slots
        return Cache(buffer, self.num_slots)
