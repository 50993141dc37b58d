"""The neural Turing machine (Graves et al. 2014): an external memory, its controller, the encoder and the decoder.

Beside the legend of ``contracts.py``:

    C  slots of a memory             H  heads
    W  width of a slot               R  shifts a head can choose from: -r … r, so R = 2r + 1

Sentences of a batch may have different numbers of slots. Those of a sentence are the first n of C; they form a
ring of their own, in which n - 1 is the neighbour of 0. Slots beyond them are never read or written, so that neither
padding nor the other sentences of a batch change a result.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.cells import CellState
from nmt.models.contracts import (
    Decoder,
    DecoderOutput,
    DecoderParts,
    Encoder,
    EncoderOutput,
    EncoderParts,
    Head,
    Memory,
    State,
)
from nmt.models.layers import Dropout, at_end, length_mask
from nmt.models.loops import step_layer, time_loop
from nmt.models.networks.recurrence import CellStack, StackOptions
from nmt.models.networks.recurrent import Bridge, RecurrentDecoderOptions
from nmt.recipe.options import Options

EPSILON = 1e-6  # vectors shorter than this count as this long in a cosine

Ring = tuple[Tensor, Tensor]
"""Mask of the real slots [N, C], and for each shift and slot the slot that moves there [N, R, C]."""


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
    powers_NHC = (weights_NHC / weights_NHC.detach().amax(2, keepdim=True)) ** gamma_NH[:, :, None]
    return powers_NHC / powers_NHC.sum(2, keepdim=True)


def write(memory_NCW: Tensor, weights_NHC: Tensor, erase_NHW: Tensor, add_NHW: Tensor) -> Tensor:
    """M(i) <- M(i) (1 - w(i) e) + w(i) a: equations 3 and 4. Of several heads, all erase before any adds."""
    for weights_NC, erase_NW in zip(weights_NHC.unbind(1), erase_NHW.unbind(1), strict=True):
        memory_NCW = memory_NCW * (1 - weights_NC[:, :, None] * erase_NW[:, None])
    return memory_NCW + weights_NHC.transpose(1, 2) @ add_NHW


class HeadOptions(Options):
    """Options of the heads of a memory and of its slots."""

    slot_size: int = Field(64, ge=1, le=100_000, description="width of a slot")
    num_read_heads: int = Field(1, ge=1, le=1000, description="places read at a step")
    num_write_heads: int = Field(1, ge=1, le=1000, description="places written at a step")
    max_shift: int = Field(1, ge=0, le=1000, description="a head moves by -max_shift … max_shift slots a step")


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
        given_NX = step_layer(self.control, control_ND).to(memory_NCW.dtype)
        given_NHX = torch.unflatten(given_NX, 1, (self.num_heads, -1))
        key_NHW, strength, gate, shift_NHR, gamma, extra = torch.split(given_NHX, self.sizes, dim=2)
        weights_NHC = content_weights(key_NHW, F.softplus(strength[:, :, 0]), memory_NCW, ring[0])
        weights_NHC = previous_NHC + gate.sigmoid() * (weights_NHC - previous_NHC)  # equation 7
        weights_NHC = circular_shift(weights_NHC, shift_NHR.softmax(2), ring)
        return sharpen(weights_NHC, 1 + F.softplus(gamma[:, :, 0])), extra


@dataclass(frozen=True)
class NTMState(State):
    """All that a neural Turing machine remembers; each hypothesis has a memory of its own."""

    write_NHC: Tensor  # the weight of each of C slots for each write head
    read_NHC: Tensor
    num_free_slots: int | None
    """The number of slots that come before those of the source positions; None where no slot belongs to a position."""
    cells: CellState  # state of the controller, each part [N, L, D]
    memory_NCW: Tensor
    reads_NHW: Tensor  # vectors that the read heads found last
    ring: Ring


class NTMCell(nn.Module):
    """A controller with heads on a memory: one step of a neural Turing machine.

    The controller reads the input and what the read heads found at the step before. Then the write heads look for
    their place and write, and the read heads look for theirs in the changed memory and read. All heads start on the
    first slot.
    """

    def __init__(self, controller: StackOptions, options: HeadOptions, input_size: int) -> None:
        super().__init__()
        self.options = options
        read_size = options.num_read_heads * options.slot_size
        self.controller = CellStack(controller, (input_size, read_size))
        self.readers = Heads(controller.hidden_size, options, options.num_read_heads)
        self.writers = Heads(controller.hidden_size, options, options.num_write_heads, 2 * options.slot_size)
        self.output_size = controller.hidden_size + read_size

    def start(
        self, cells: CellState, memory_NCW: Tensor, num_slots_N: Tensor, num_free_slots: int | None = None
    ) -> NTMState:
        """The state before the first step. Of each memory the first ``num_slots_N`` slots are real."""
        # Small differences between slots count: half precision would blur them.
        memory_NCW = memory_NCW.to(torch.promote_types(memory_NCW.dtype, torch.float32))
        rows, num_slots, width = memory_NCW.shape
        options = self.options
        first = memory_NCW.new_zeros(rows, 1, num_slots)
        first[:, :, 0] = 1.0
        return NTMState(
            first.expand(-1, options.num_write_heads, -1),
            first.expand(-1, options.num_read_heads, -1),
            num_free_slots,
            cells,
            memory_NCW,
            memory_NCW.new_zeros(rows, options.num_read_heads, width),
            make_ring(num_slots_N, num_slots, options.max_shift),
        )

    def forward(self, gates_NG: Tensor, state: NTMState) -> NTMState:
        """One step from the input that the controller has projected."""
        found_NG = self.controller.project(state.reads_NHW.flatten(1), part=1)
        cells = self.controller(gates_NG + found_NG, state.cells)
        memory_NCW, ring = state.memory_NCW, state.ring
        control_ND = self.controller.output(cells).to(memory_NCW.dtype)
        with torch.autocast(control_ND.device.type, enabled=False):
            write_NHC, change = self.writers(control_ND, memory_NCW, state.write_NHC, ring)
            erase_NHW, add_NHW = change.chunk(2, dim=2)
            memory_NCW = write(memory_NCW, write_NHC, erase_NHW.sigmoid(), add_NHW)
            read_NHC, _ = self.readers(control_ND, memory_NCW, state.read_NHC, ring)
            reads_NHW = read_NHC @ memory_NCW  # equation 2
        return NTMState(write_NHC, read_NHC, state.num_free_slots, cells, memory_NCW, reads_NHW, ring)

    def states(self, x_TND: Tensor, state: NTMState) -> list[NTMState]:
        """The state after each input."""
        gates_TNG = self.controller.project(x_TND)
        with time_loop(len(gates_TNG)):
            steps = accumulate(gates_TNG.unbind(0), lambda before, gates_NG: self(gates_NG, before), initial=state)
            return list(steps)[1:]

    def output(self, state: NTMState) -> Tensor:
        """Returns the output of a step: [h; r of each read head]. [N, D]"""
        hidden_ND = self.controller.output(state.cells)
        return torch.cat((hidden_ND, state.reads_NHW.flatten(1).to(hidden_ND.dtype)), dim=1)


class NtmEncoder(Encoder):
    """Graves et al. 2014: a controller reads the source word by word and writes into a memory, blank at first.

    Its first memory holds an annotation for each word, [h_t; r_t], so that any decoder can follow; the second one
    holds the slots after the last word, with which the decoder ``ntm`` continues where its option is ``memory: slots``.
    All slots start with the same learned content.
    """

    class Options(StackOptions, HeadOptions):
        hidden_size: int = Field(100, ge=1, le=100_000, description="of the controller")
        num_slots: int = Field(128, ge=1, le=100_000, description="rows of the memory")

    def __init__(self, options: Options, parts: EncoderParts) -> None:
        super().__init__()
        self.embedding = parts.embedding
        self.machine = NTMCell(options, options, self.embedding.size)
        self.blank_W = nn.Parameter(torch.empty(options.slot_size))
        nn.init.uniform_(self.blank_W, -0.05, 0.05)
        self.dropout = Dropout(options.dropout)
        self.num_slots = options.num_slots
        self.memory_sizes, self.final_size = (self.machine.output_size, options.slot_size), options.hidden_size

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        words_SBE = self.dropout(self.embedding(source_BS.t()))
        cells = self.machine.controller.zeros(words_SBE[0])
        memory_BCW = self.blank_W.expand(len(source_BS), self.num_slots, -1)
        num_slots_B = torch.full((len(source_BS),), self.num_slots, device=source_BS.device)
        states = self.machine.states(words_SBE, self.machine.start(cells, memory_BCW, num_slots_B))
        annotations_BSD = self.dropout(torch.stack([self.machine.output(state) for state in states], dim=1))
        annotations = Memory(annotations_BSD, length_mask(source_length_B, source_BS.shape[1]))
        slots_SBCW = torch.stack([state.memory_NCW for state in states])
        slots = Memory(at_end(slots_SBCW, source_length_B), states[0].ring[0])
        parts = zip(*(state.cells[: self.machine.controller.num_states] for state in states), strict=True)
        return EncoderOutput((annotations, slots), tuple(at_end(torch.stack(p), source_length_B) for p in parts))


class NtmDecoder(Decoder):
    """Graves et al. 2014: the controller reads [E y_{t-1}; r_{t-1}]; the output layer tanh(W [h_t; r_t; E y_{t-1}]).

    ``memory: annotations`` translates: the memory starts as W h_i, a slot for each annotation of any encoder. Free
    slots come before the words. The slots of a sentence form a ring, the first free one beside the last word, so that
    a head that shifts never meets padding. The read weights over the words are the alignment; what is read from free
    slots is missing from their sum. ``memory: slots`` continues with the memory that the encoder ``ntm`` has written.
    """

    class Options(RecurrentDecoderOptions, HeadOptions):
        memory: Literal["annotations", "slots"] = Field(
            "annotations", description="where the memory starts: a slot a source word, or the slots of the encoder ntm"
        )
        num_free_slots: int = Field(
            0, ge=0, le=100_000, description="slots beside those of the words, with a learned start"
        )

    def __init__(self, options: Options, parts: DecoderParts) -> None:
        super().__init__()
        words, size = parts.embedding.size, options.slot_size
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = Bridge(options, parts)
        self.machine = NTMCell(options, options, words)
        self.readout = nn.Linear(self.machine.output_size + words, words)
        self.dropout = Dropout(options.dropout)
        self.continues = options.memory == "slots"
        self.num_free_slots = options.num_free_slots
        if self.continues:
            _check_slots(options, parts)
            return
        self.heads = tuple(Head(head, kind="read") for head in range(options.num_read_heads))
        self.slots = nn.Linear(parts.memory_size, size)
        if self.num_free_slots:
            self.free_FW = nn.Parameter(torch.empty(self.num_free_slots, size))
            nn.init.uniform_(self.free_FW, -(size**-0.5), size**-0.5)

    def start(self, encoded: EncoderOutput) -> NTMState:
        cells = self.first_state(encoded)
        if self.continues:
            memory = encoded.memories[1]
            return self.machine.start(cells, memory.values_BSD, memory.mask_BS.sum(1))
        memory = encoded.memories[0]
        slots_BCW = self.slots(memory.values_BSD)
        if self.num_free_slots:
            free_BFW = self.free_FW.to(slots_BCW.dtype).expand(len(slots_BCW), -1, -1)
            slots_BCW = torch.cat((free_BFW, slots_BCW), dim=1)
        num_slots_B = memory.mask_BS.sum(1) + self.num_free_slots
        return self.machine.start(cells, slots_BCW, num_slots_B, self.num_free_slots)

    def advance(self, token_NT: Tensor, state: NTMState, need_weights: bool = False) -> tuple[DecoderOutput, NTMState]:
        words_TNE = self.dropout(self.embedding(token_NT.t()))
        states = self.machine.states(words_TNE, state)
        found_TND = torch.stack([self.machine.output(state) for state in states])
        features_TND = self.dropout(self.readout(torch.cat((found_TND, words_TNE), dim=-1)).tanh())
        weights_NHTS = None
        if need_weights and not self.continues:
            weights_NHTS = torch.stack([state.read_NHC[:, :, self.num_free_slots :] for state in states], dim=2)
        return DecoderOutput(features_TND.transpose(0, 1), weights_NHTS), states[-1]


def _check_slots(options: NtmDecoder.Options, parts: DecoderParts) -> None:
    if len(parts.memory_sizes) < 2:
        raise ValueError("memory: slots needs an encoder with a memory of slots, such as ntm")
    if parts.memory_sizes[1] != options.slot_size:
        raise ValueError(
            f"memory: slots needs slot_size {parts.memory_sizes[1]}, as in the encoder, not {options.slot_size}"
        )
    if options.num_free_slots:
        raise ValueError("num_free_slots is for memory: annotations; the encoder ntm has num_slots")
