"""The recurrent encoder, the vanilla seq2seq decoder, and what all recurrent decoders share."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.cells import CellField, CellState, choose_cell
from nmt.models.interfaces import (
    Decoder,
    DecoderOutput,
    DecoderParts,
    Encoder,
    EncoderOutput,
    EncoderParts,
    Memory,
    State,
)
from nmt.models.layers import Dropout, length_mask, reverse_within
from nmt.models.recurrence import LearnedState, Recurrence
from nmt.options import FREE, Options


class RecurrentEncoderOptions(Options):
    """Options of ``type: recurrent``."""

    cell: CellField = Field({"type": "lstm"}, description="name of a cell, or {type: NAME} and its options")
    hidden_size: int = Field(256, ge=1, le=100_000, description="of each direction")
    num_layers: int = Field(1, ge=1, le=1000, description="cells one above another")
    bidirectional: bool = Field(True, description="read from both ends")
    residual: bool = Field(False, description="from the second layer on, add what a layer reads to its output")
    initial_state: Literal["zero", "learned"] = Field("zero", description="first state: zeros, or parameters")
    reverse: bool = Field(False, description="read the source from its end (Sutskever et al. 2014)")
    dropout: Annotated[float, FREE] = Field(
        0.0, ge=0, lt=1, description="on embeddings, between layers and on the annotations"
    )


class RecurrentEncoder(Encoder):
    """Annotations h_i for each source word, [forward; backward] where bidirectional (Schuster & Paliwal 1997).

    ``final`` is the state of each layer after the last word in reading order, forward and backward side by side.
    """

    Options = RecurrentEncoderOptions

    def __init__(self, options: RecurrentEncoderOptions, parts: EncoderParts) -> None:
        super().__init__()
        self.embedding = parts.embedding
        self.recurrence = Recurrence(
            options.cell,
            self.embedding.size,
            options.hidden_size,
            options.num_layers,
            options.dropout,
            options.bidirectional,
            options.residual,
        )
        self.first_state: LearnedState | None = None
        if options.initial_state == "learned":
            self.first_state = LearnedState(options.cell, options.num_layers, self.recurrence.output_size)
        self.dropout = Dropout(options.dropout)
        self.reverse = options.reverse
        self.final_size = self.recurrence.output_size
        self.memory_sizes = (self.final_size,)

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        x_BSD = self.dropout(self.embedding(source_BS))
        if self.reverse:
            x_BSD = reverse_within(x_BSD, source_length_B)
        start = self.first_state(len(source_BS)) if self.first_state is not None else None
        annotations_BSD, final = self.recurrence(x_BSD, start, source_length_B)
        if self.reverse:
            annotations_BSD = reverse_within(annotations_BSD, source_length_B)
        return EncoderOutput((Memory(self.dropout(annotations_BSD), mask_BS),), final[: self.recurrence.num_states])


class RecurrentDecoderOptions(Options):
    """Options of every recurrent decoder; those of ``type: recurrent``, the vanilla seq2seq."""

    cell: CellField = Field({"type": "lstm"}, description="name of a cell, or {type: NAME} and its options")
    hidden_size: int = Field(256, ge=1, le=100_000, description="width of the state")
    num_layers: int = Field(1, ge=1, le=1000, description="cells one above another")
    dropout: Annotated[float, FREE] = Field(
        0.0, ge=0, lt=1, description="on embeddings, between layers and before the output layer"
    )
    residual: bool = Field(False, description="from the second layer on, add what a layer reads to its output")
    bridge: Literal["dense", "copy", "zero", "learned"] = Field(
        "dense", description="first state: tanh(W · encoder's last state), that state itself, zeros, or parameters"
    )


@dataclass(frozen=True)
class RecurrentState(State):
    """State of a recurrent decoder."""

    cells: CellState
    """Each part [N, L, D]."""


class FirstState(nn.Module):
    """The decoder's first state from the encoder's last.

    ``dense`` is tanh(W h) for each part and layer of the state (Bahdanau et al. 2015, appendix A.2.2), from the
    mean annotation where the encoder has no last state; ``copy`` takes the state as it is (Sutskever et al.
    2014) and so needs the same width on both sides. Layers are matched from the top: of a deeper encoder the
    upper layers count, and a shallower one gives its last layer to the rest. ``learned`` and ``zero`` don't use the
    encoder.
    """

    def __init__(self, options: RecurrentDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        self.kind = options.bridge
        self.num_layers, self.size = options.num_layers, options.hidden_size
        self.cell, _ = choose_cell(options.cell)
        self.num_states = self.cell.num_states
        if self.kind == "copy" and parts.final_size != self.size:
            raise ValueError(
                f"bridge: copy needs hidden_size {parts.final_size}, the width of the encoder's last state, "
                f"not {self.size}"
            )
        self.learned: LearnedState | None = None
        if self.kind == "learned":
            self.learned = LearnedState(options.cell, self.num_layers, self.size)
        if self.kind == "dense":
            self.dense = nn.ModuleList(nn.Linear(parts.final_size, self.size) for _ in range(self.num_states))

    def forward(self, encoded: EncoderOutput) -> CellState:
        memory = encoded.memories[0]
        num_rows, dtype = len(memory.mask_BS), self.cell.state_dtype(memory.values_BSD.dtype)
        if self.learned is not None:
            return tuple(part.to(dtype) for part in self.learned(num_rows))
        if self.kind == "zero":
            zeros_NLD = memory.values_BSD.new_zeros(num_rows, self.num_layers, self.size, dtype=dtype)
            return (zeros_NLD,) * self.num_states
        final = encoded.final or (mean_annotation(memory)[:, None],)
        # An encoder with fewer state parts than the decoder gives its last one to the rest.
        parts = [final[min(i, len(final) - 1)] for i in range(self.num_states)]
        last = final[0].shape[1] - 1
        lowest = max(0, last + 1 - self.num_layers)
        layers = torch.arange(lowest, lowest + self.num_layers, device=final[0].device).clamp(max=last)
        parts = [part.index_select(1, layers) for part in parts]
        if self.kind == "dense":
            parts = [dense(part).tanh() for dense, part in zip(self.dense, parts, strict=True)]
        return tuple(part.to(dtype) for part in parts)


def mean_annotation(memory: Memory) -> Tensor:
    """The mean of a memory's real positions. [B, D]"""
    mask_BS1 = memory.mask_BS[:, :, None].to(memory.values_BSD.dtype)
    return (memory.values_BSD * mask_BS1).sum(1) / mask_BS1.sum(1)


class RecurrentDecoder(Decoder):
    """Vanilla seq2seq (Sutskever et al. 2014): the encoder's last state is all the decoder gets."""

    Options = RecurrentDecoderOptions

    def __init__(self, options: RecurrentDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        if options.bridge in ("zero", "learned"):
            raise ValueError(
                f"bridge: {options.bridge} would keep the source from a decoder without attention: choose dense or copy"
            )
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = FirstState(options, parts)
        self.recurrence = Recurrence(
            options.cell,
            parts.embedding.size,
            options.hidden_size,
            options.num_layers,
            options.dropout,
            residual=options.residual,
        )
        same = options.hidden_size == parts.embedding.size
        self.readout = nn.Identity() if same else nn.Linear(options.hidden_size, parts.embedding.size)
        self.dropout = Dropout(options.dropout)

    def start(self, encoded: EncoderOutput) -> RecurrentState:
        return RecurrentState(self.first_state(encoded))

    def advance(
        self, token_NT: Tensor, state: RecurrentState, need_weights: bool = False
    ) -> tuple[DecoderOutput, RecurrentState]:
        hidden_NTD, cells = self.recurrence(self.dropout(self.embedding(token_NT)), state.cells)
        return DecoderOutput(self.dropout(self.readout(hidden_NTD))), RecurrentState(cells)
