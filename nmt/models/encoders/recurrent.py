"""The recurrent encoder: uni- or bidirectional, any cell of ``nmt/models/cells``."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from nmt.config import Options
from nmt.models.cells import CellField, LearnedState, Recurrence
from nmt.models.dropout import Dropout
from nmt.models.embeddings import Embedding
from nmt.models.interfaces import Encoder, EncoderOutput, Memory
from nmt.models.masks import length_mask, reverse_within


class RecurrentEncoderOptions(Options):
    """Options of ``type: recurrent``."""

    cell: CellField = Field({"type": "lstm"}, description="name of a cell, or {type: NAME} and its options")
    hidden_size: int = Field(256, ge=1, description="of each direction")
    num_layers: int = Field(1, ge=1, description="cells one above another")
    bidirectional: bool = Field(True, description="read from both ends")
    residual: bool = Field(False, description="from the second layer on, add what a layer reads to its output")
    initial_state: Literal["zero", "learned"] = Field("zero", description="first state: zeros, or parameters")
    reverse: bool = Field(False, description="read the source from its end (Sutskever et al. 2014)")
    dropout: float = Field(0.0, ge=0, lt=1, description="on embeddings, between layers and on the annotations")


class RecurrentEncoder(Encoder):
    """Annotations h_i for each source word, [forward; backward] where bidirectional (Schuster & Paliwal 1997).

    ``final`` is the state of each layer after the last word in reading order, forward and backward side by side.
    """

    Options = RecurrentEncoderOptions

    def __init__(self, options: RecurrentEncoderOptions, embedding: Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.recurrence = Recurrence(
            options.cell,
            embedding.size,
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
        self.output_size = self.final_size = self.recurrence.output_size

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
