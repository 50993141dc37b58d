"""The encoder of a neural Turing machine: it writes into its memory while it reads the source."""

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.cells import CellField, choose_cell
from nmt.models.dropout import Dropout
from nmt.models.embeddings import Embedding
from nmt.models.interfaces import Encoder, EncoderOutput, Memory
from nmt.models.masks import length_mask
from nmt.models.ntm_memory import HeadOptions, Machine, MachineState


class NtmEncoderOptions(HeadOptions):
    """Options of the encoder ``type: ntm``."""

    cell: CellField = Field({"type": "lstm"}, description="of the controller: a name, or {type: NAME} and its options")
    hidden_size: int = Field(100, ge=1, description="of the controller")
    num_layers: int = Field(1, ge=1, description="of the controller")
    num_slots: int = Field(128, ge=1, description="rows of the memory")
    dropout: float = Field(0.0, ge=0, lt=1, description="on embeddings, between layers and on the annotations")


class NtmEncoder(Encoder):
    """Graves et al. 2014: a controller reads the source word by word and writes into a memory, blank at first.

    The first memory of what it gives holds an annotation for each word, [h_t; r_t], so that any decoder can follow;
    the second one holds the slots as they are after the last word, with which the decoder ``ntm`` goes on if it is
    told to (``memory: slots``). All slots start with the same learned content.
    """

    Options = NtmEncoderOptions

    def __init__(self, options: NtmEncoderOptions, embedding: Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.machine = Machine(
            options.cell, embedding.size, options.hidden_size, options.num_layers, options.dropout, options
        )
        self.blank_W = nn.Parameter(torch.empty(options.slot_size).uniform_(-0.05, 0.05))
        self.dropout = Dropout(options.dropout)
        self.cell, _ = choose_cell(options.cell)
        self.num_slots, self.slot_size = options.num_slots, options.slot_size
        self.output_size, self.final_size = self.machine.output_size, options.hidden_size

    def states(self, source_BS: Tensor, source_length_B: Tensor) -> list[MachineState]:
        """The state after each position; beyond a sentence's end it stays as it is."""
        rows = len(source_BS)
        gates_SBG = self.machine.project(self.dropout(self.embedding(source_BS.t())))
        controller = self.machine.controller
        dtype = self.cell.state_dtype(gates_SBG.dtype)
        zero = gates_SBG.new_zeros(rows, len(controller.cells), self.final_size, dtype=dtype)
        memory_BCW = self.blank_W.expand(rows, self.num_slots, -1)
        num_slots_B = torch.full((rows,), self.num_slots, device=source_BS.device)
        state = self.machine.start((zero,) * controller.num_states, memory_BCW, num_slots_B)
        shortest, states = int(source_length_B.min()), []
        for position, gates_BG in enumerate(gates_SBG.unbind(0)):
            after = self.machine(gates_BG, state)
            state = after if position < shortest else _where(position < source_length_B, after, state)
            states.append(state)
        return states

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        states = self.states(source_BS, source_length_B)
        annotations_BSD = self.dropout(torch.stack([self.machine.output(state) for state in states], dim=1))
        slots = Memory(states[-1].memory_NCW, states[-1].ring[0])
        final = states[-1].cells[: self.machine.controller.num_states]
        return EncoderOutput((Memory(annotations_BSD, mask_BS), slots), final)


def _where(is_on_B: Tensor, after: MachineState, before: MachineState) -> MachineState:
    """The new state of the sentences that go on, the old one of those that have ended."""

    def chosen(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(is_on_B.view(-1, *[1] * (new.dim() - 1)), new, old)

    return MachineState(
        tuple(chosen(new, old) for new, old in zip(after.cells, before.cells, strict=True)),
        chosen(after.memory_NCW, before.memory_NCW),
        chosen(after.reads_NHW, before.reads_NHW),
        chosen(after.read_NHC, before.read_NHC),
        chosen(after.write_NHC, before.write_NHC),
        after.ring,
    )
