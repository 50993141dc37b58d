"""The decoder of a neural Turing machine: it reads and writes a memory while it says the target."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.decoders.recurrent import FirstState, RecurrentDecoderOptions
from nmt.models.dropout import Dropout
from nmt.models.interfaces import Decoder, DecoderOutput, DecoderParts, EncoderOutput
from nmt.models.ntm_memory import HeadOptions, Machine, MachineState


class NtmDecoderOptions(RecurrentDecoderOptions, HeadOptions):
    """Options of the decoder ``type: ntm``."""

    memory: Literal["annotations", "slots"] = Field(
        "annotations", description="where the memory starts: a slot a source word, or the slots of the encoder ntm"
    )
    num_free_slots: int = Field(0, ge=0, description="slots beside those of the words, with a learned start")


class NtmDecoder(Decoder):
    """Graves et al. 2014: the controller reads [E y_{t-1}; r_{t-1}]; the output layer tanh(W [h_t; r_t; E y_{t-1}]).

    ``memory: annotations`` translates: the memory starts as W h_i, a slot for each annotation of any encoder. Free
    slots come before the words. The slots of a sentence form a ring, the first free one beside the last word, so a
    head that shifts never meets padding. The read weights over the words are the alignment; what is read from free
    slots is missing from their sum. ``memory: slots`` goes on with the memory that the encoder ``ntm`` has written.
    """

    Options = NtmDecoderOptions

    def __init__(self, options: NtmDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        words, size = parts.embedding.size, options.slot_size
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = FirstState(options, parts)
        self.machine = Machine(
            options.cell, words, options.hidden_size, options.num_layers, options.dropout, options, options.residual
        )
        self.readout = nn.Linear(self.machine.output_size + words, words)
        self.dropout = Dropout(options.dropout)
        self.goes_on = options.memory == "slots"
        self.num_free_slots = options.num_free_slots
        if self.goes_on:
            _check_slots(options, parts)
            return
        self.head_names = tuple(f"read {head + 1}" for head in range(options.num_read_heads))
        self.slots = nn.Linear(parts.memory_size, size)
        if self.num_free_slots:
            self.free_FW = nn.Parameter(torch.empty(self.num_free_slots, size).uniform_(-(size**-0.5), size**-0.5))

    def start(self, encoded: EncoderOutput) -> MachineState:
        cells = self.first_state(encoded)
        if self.goes_on:
            memory = encoded.memories[1]
            return self.machine.start(cells, memory.values_BSD, memory.mask_BS.sum(1))
        memory = encoded.memories[0]
        slots_BCW = self.slots(memory.values_BSD)
        if self.num_free_slots:
            free_BFW = self.free_FW.to(slots_BCW.dtype).expand(len(slots_BCW), -1, -1)
            slots_BCW = torch.cat((free_BFW, slots_BCW), dim=1)
        return self.machine.start(cells, slots_BCW, memory.mask_BS.sum(1) + self.num_free_slots)

    def _features(self, read: Tensor, words: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.readout(torch.cat((read, words), dim=-1)).tanh())
        return out

    def _weights(self, state: MachineState, wanted: bool) -> Tensor | None:
        """Of the read heads over the words. [N, H, S]"""
        return state.read_NHC[:, :, self.num_free_slots :] if wanted and not self.goes_on else None

    def advance(
        self, token_N: Tensor, state: MachineState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, MachineState]:
        words_NE = self.dropout(self.embedding(token_N))
        state = self.machine(self.machine.project(words_NE), state)
        return self._features(self.machine.output(state), words_NE), self._weights(state, need_weights), state

    def states(self, target_BT: Tensor, encoded: EncoderOutput) -> list[MachineState]:
        """The state after each position."""
        return self._read(self.dropout(self.embedding(target_BT.t())), encoded)

    def _read(self, words_TBE: Tensor, encoded: EncoderOutput) -> list[MachineState]:
        state, states = self.start(encoded), []
        for gates_BG in self.machine.project(words_TBE).unbind(0):
            state = self.machine(gates_BG, state)
            states.append(state)
        return states

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        words_TBE = self.dropout(self.embedding(target_BT.t()))
        states = self._read(words_TBE, encoded)
        found_TBD = torch.stack([self.machine.output(state) for state in states])
        weights = [w for state in states if (w := self._weights(state, need_weights)) is not None]
        features_TBD = self._features(found_TBD, words_TBE)
        return DecoderOutput(features_TBD.transpose(0, 1), torch.stack(weights, dim=2) if weights else None)


def _check_slots(options: NtmDecoderOptions, parts: DecoderParts) -> None:
    if parts.slot_size is None:
        raise ValueError("memory: slots needs the encoder ntm, whose memory it goes on with")
    if parts.slot_size != options.slot_size:
        raise ValueError(f"memory: slots needs slot_size {parts.slot_size}, as in the encoder, not {options.slot_size}")
    if options.num_free_slots:
        raise ValueError("num_free_slots is for memory: annotations; the encoder ntm has num_slots")
