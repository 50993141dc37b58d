"""The external memory of a neural Turing machine (Graves et al. 2014), and the controller that works with it.

Beside the shapes of ``interfaces.py``:

    C  slots of a memory             H  heads
    W  width of a slot               R  shifts a head can choose from: -r … r, so R = 2r + 1

Sentences of a batch may have different numbers of slots. Those of a sentence are the first n of C; they form a
ring of their own, in which n - 1 is the neighbour of 0. So what lies beyond is never read nor written, and neither
padding nor the other sentences of a batch change a result.
"""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import Options
from nmt.models.cells import CellChoice, CellStack, CellState
from nmt.models.interfaces import State
from nmt.models.masks import length_mask

EPSILON = 1e-6
"""Vectors shorter than this count as this long in a cosine."""

Ring = tuple[Tensor, Tensor]
"""Which slots are real [N, C], and for each shift and slot the slot that moves there [N, R, C]."""


def make_ring(num_slots_N: Tensor, longest: int, max_shift: int) -> Ring:
    """The rings of memories with ``num_slots_N`` of ``longest`` slots, for shifts up to ``max_shift``."""
    slot_C = torch.arange(longest, device=num_slots_N.device)
    shift_R = torch.arange(-max_shift, max_shift + 1, device=num_slots_N.device)
    origin_NRC = (slot_C - shift_R[:, None]) % num_slots_N[:, None, None]
    return length_mask(num_slots_N, longest), origin_NRC


def content_weights(key_NHW: Tensor, strength_NH: Tensor, memory_NCW: Tensor, mask_NC: Tensor) -> Tensor:
    """softmax over the real slots of β cos(k, M(i)): equations 5 and 6. [N, H, C]"""
    cosine_NHC = F.normalize(key_NHW, dim=2, eps=EPSILON) @ F.normalize(memory_NCW, dim=2, eps=EPSILON).transpose(1, 2)
    scores_NHC = (strength_NH[:, :, None] * cosine_NHC).masked_fill(~mask_NC[:, None], float("-inf"))
    return scores_NHC.softmax(dim=2)


def interpolate(gate_NH: Tensor, content_NHC: Tensor, previous_NHC: Tensor) -> Tensor:
    """g w^c + (1 - g) w_{t-1}: equation 7. [N, H, C]"""
    return previous_NHC + gate_NH[:, :, None] * (content_NHC - previous_NHC)


def circular_shift(weights_NHC: Tensor, shift_NHR: Tensor, ring: Ring) -> Tensor:
    """Σ_j w(j) s(i - j), indices modulo the number of slots: equation 8. [N, H, C]"""
    mask_NC, origin_NRC = ring
    num_heads, num_shifts = shift_NHR.shape[1:]
    origin_NHRC = origin_NRC[:, None].expand(-1, num_heads, -1, -1)
    moved_NHRC = weights_NHC[:, :, None].expand(-1, -1, num_shifts, -1).gather(3, origin_NHRC)
    return (shift_NHR[..., None] * moved_NHRC).sum(2) * mask_NC[:, None]


def sharpen(weights_NHC: Tensor, gamma_NH: Tensor) -> Tensor:
    """w(i)^γ / Σ_j w(j)^γ: equation 9. [N, H, C]"""
    # Any common factor cancels out; the largest weight keeps high powers from vanishing all at once.
    largest_NH1 = weights_NHC.detach().amax(2, keepdim=True)
    powers_NHC = (weights_NHC / largest_NH1) ** gamma_NH[:, :, None]
    return powers_NHC / powers_NHC.sum(2, keepdim=True)


def read(weights_NHC: Tensor, memory_NCW: Tensor) -> Tensor:
    """r = Σ_i w(i) M(i): equation 2. [N, H, W]"""
    return weights_NHC @ memory_NCW


def write(memory_NCW: Tensor, weights_NHC: Tensor, erase_NHW: Tensor, add_NHW: Tensor) -> Tensor:
    """M(i) <- M(i) (1 - w(i) e) + w(i) a: equations 3 and 4. Of several heads, all erase before any adds."""
    for weights_NC, erase_NW in zip(weights_NHC.unbind(1), erase_NHW.unbind(1), strict=True):
        memory_NCW = memory_NCW * (1 - weights_NC[:, :, None] * erase_NW[:, None])
    return memory_NCW + weights_NHC.transpose(1, 2) @ add_NHW


class HeadOptions(Options):
    """Options of the heads of a memory and of its slots."""

    slot_size: int = Field(64, ge=1, description="width of a slot")
    num_read_heads: int = Field(1, ge=1, description="places read at a step")
    num_write_heads: int = Field(1, ge=1, description="places written at a step")
    max_shift: int = Field(1, ge=0, description="a head moves by -max_shift … max_shift slots a step")


class Heads(nn.Module):
    """Heads of one kind: from the controller's output to weights over the slots (section 3.3 of the paper).

    For each head the controller gives a key k, its strength β = softplus, the gate g = σ, the shift s = softmax and
    the sharpening γ = 1 + softplus, and ``extra`` numbers more.
    """

    def __init__(self, controller_size: int, options: HeadOptions, num_heads: int, extra: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.sizes = [options.slot_size, 1, 1, 2 * options.max_shift + 1, 1, extra]
        self.control = nn.Linear(controller_size, num_heads * sum(self.sizes))

    def forward(
        self, control_ND: Tensor, memory_NCW: Tensor, previous_NHC: Tensor, ring: Ring
    ) -> tuple[Tensor, Tensor]:
        """Weights [N, H, C], and the extra numbers as they are [N, H, extra]."""
        given_NHX = torch.unflatten(self.control(control_ND), 1, (self.num_heads, -1))
        key_NHW, strength, gate, shift_NHR, gamma, extra = torch.split(given_NHX, self.sizes, dim=2)
        weights_NHC = content_weights(key_NHW, F.softplus(strength[:, :, 0]), memory_NCW, ring[0])
        weights_NHC = interpolate(gate[:, :, 0].sigmoid(), weights_NHC, previous_NHC)
        weights_NHC = circular_shift(weights_NHC, shift_NHR.softmax(2), ring)
        return sharpen(weights_NHC, 1 + F.softplus(gamma[:, :, 0])), extra


@dataclass(frozen=True)
class MachineState(State):
    """All that a neural Turing machine remembers; each hypothesis has a memory of its own."""

    cells: CellState
    """Of the controller, each part [N, L, D]."""
    memory_NCW: Tensor
    reads_NHW: Tensor
    """What the read heads found last."""
    read_NHC: Tensor
    write_NHC: Tensor
    """Where the heads were last."""
    ring: Ring


class Machine(nn.Module):
    """A controller with heads on a memory: one step of a neural Turing machine.

    The controller reads the input and what the read heads found at the step before. Then the write heads look for
    their place and write, and the read heads look for theirs in the changed memory and read. All heads start on the
    first slot.

    Args:
        cell, hidden_size, num_layers, dropout, residual: of the controller.
        input_size: width of the input.
        options: of heads and slots.
    """

    def __init__(
        self,
        cell: CellChoice,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        options: HeadOptions,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.options = options
        read_size = options.num_read_heads * options.slot_size
        self.controller = CellStack(cell, (input_size, read_size), hidden_size, num_layers, dropout, residual)
        self.readers = Heads(hidden_size, options, options.num_read_heads)
        self.writers = Heads(hidden_size, options, options.num_write_heads, 2 * options.slot_size)
        self.output_size = hidden_size + read_size

    def start(self, cells: CellState, memory_NCW: Tensor, num_slots_N: Tensor) -> MachineState:
        """The state before the first step. Of each memory the first ``num_slots_N`` slots are real."""
        # Small differences between slots count: half precision would blur them.
        memory_NCW = memory_NCW.to(torch.promote_types(memory_NCW.dtype, torch.float32))
        rows, num_slots, width = memory_NCW.shape
        options = self.options
        first = memory_NCW.new_zeros(rows, 1, num_slots)
        first[:, :, 0] = 1.0
        return MachineState(
            cells,
            memory_NCW,
            memory_NCW.new_zeros(rows, options.num_read_heads, width),
            first.expand(-1, options.num_read_heads, -1),
            first.expand(-1, options.num_write_heads, -1),
            make_ring(num_slots_N, num_slots, options.max_shift),
        )

    def project(self, x: Tensor) -> Tensor:
        """The share of the input in the controller's gates, for all steps at once."""
        return self.controller.project(x)

    def forward(self, gates_NG: Tensor, state: MachineState) -> MachineState:
        """One step from the projected input."""
        found_NG = self.controller.project(state.reads_NHW.flatten(1), part=1)
        cells = self.controller(gates_NG + found_NG, state.cells)
        memory_NCW, ring = state.memory_NCW, state.ring
        control_ND = self.controller.output(cells).to(memory_NCW.dtype)
        with torch.autocast(control_ND.device.type, enabled=False):
            write_NHC, change = self.writers(control_ND, memory_NCW, state.write_NHC, ring)
            erase_NHW, add_NHW = change.chunk(2, dim=2)
            memory_NCW = write(memory_NCW, write_NHC, erase_NHW.sigmoid(), add_NHW)
            read_NHC, _ = self.readers(control_ND, memory_NCW, state.read_NHC, ring)
            reads_NHW = read(read_NHC, memory_NCW)
        return MachineState(cells, memory_NCW, reads_NHW, read_NHC, write_NHC, ring)

    def output(self, state: MachineState) -> Tensor:
        """What others see of a step: [h; r of each read head]. [N, D]"""
        hidden_ND = self.controller.output(state.cells)
        return torch.cat((hidden_ND, state.reads_NHW.flatten(1).to(hidden_ND.dtype)), dim=1)
