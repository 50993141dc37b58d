"""The recurrent encoder with adaptive computation time."""

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.act import Parts, Ponder, PonderOptions
from nmt.models.cells import CellField, CellStack, CellState, choose_cell
from nmt.models.dropout import Dropout
from nmt.models.embeddings import Embedding
from nmt.models.interfaces import Encoder, EncoderOutput, Memory
from nmt.models.layers import Layers
from nmt.models.masks import length_mask, reverse_within


class AdaptiveEncoderOptions(PonderOptions):
    """Options of the encoder ``type: act_rnn``."""

    cell: CellField = Field({"type": "lstm"}, description="name of a cell, or {type: NAME} and its options")
    hidden_size: int = Field(256, ge=1, description="of each direction")
    num_layers: int = Field(1, ge=1, description="cells one above another")
    bidirectional: bool = Field(True, description="read from both ends")
    dropout: float = Field(0.0, ge=0, lt=1, description="on embeddings, between layers and on the annotations")


class AdaptiveRecurrence(nn.Module):
    """One direction: s_t^n = cell([x_t; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}, s_t = Σ p_n s_t^n (Graves 2016).

    The flag δ tells the cell whether it sees the input for the first time.
    """

    def __init__(self, options: AdaptiveEncoderOptions, input_size: int) -> None:
        super().__init__()
        self.cells = CellStack(options.cell, (input_size, 1), options.hidden_size, options.num_layers, options.dropout)
        self.ponder = Ponder(options.hidden_size, options, options.cell)
        self.cell, _ = choose_cell(options.cell)
        self.state_shape = (options.num_layers, options.hidden_size)

    def forward(self, x_BSD: Tensor, mask_BS: Tensor) -> tuple[Tensor, CellState, Tensor, Tensor]:
        """Outputs [B, S, D], the state after the last word, ponder steps and ponder cost [B, S]; 0 at padding."""
        flag_1G = self.cells.project(x_BSD.new_ones(1, 1), part=1)
        dtype = self.cell.state_dtype(x_BSD.dtype)
        state: CellState = (x_BSD.new_zeros(len(x_BSD), *self.state_shape, dtype=dtype),) * self.cells.num_states
        outputs, steps, costs = [], [], []
        for gates_BG, real_B in zip(self.cells.project(x_BSD).unbind(1), mask_BS.unbind(1), strict=True):

            def step(parts: Parts, is_first: bool, gates_BG: Tensor = gates_BG) -> Parts:
                return self.cells(gates_BG + flag_1G if is_first else gates_BG, parts)  # type: ignore[no-any-return]

            after, pondering = self.ponder(step, state)
            real_B11 = real_B[:, None, None]
            state = tuple(torch.where(real_B11, new, old) for new, old in zip(after, state, strict=True))
            outputs.append(state[0][:, -1])
            steps.append(pondering.steps_X)
            costs.append(pondering.cost_X)
        steps_BS, costs_BS = torch.stack(steps, 1) * mask_BS, torch.stack(costs, 1) * mask_BS
        return torch.stack(outputs, 1), state, steps_BS, costs_BS


class ActEncoder(Encoder):
    """Annotations of a recurrent network that takes as many steps for each word as it needs, in each direction.

    ``ponder`` is the figure of a word: its steps, the mean of both directions.
    """

    Options = AdaptiveEncoderOptions

    def __init__(self, options: AdaptiveEncoderOptions, embedding: Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        num_directions = 2 if options.bidirectional else 1
        self.directions: Layers[AdaptiveRecurrence] = Layers(
            AdaptiveRecurrence(options, embedding.size) for _ in range(num_directions)
        )
        self.dropout = Dropout(options.dropout)
        self.time_penalty = options.time_penalty
        self.output_size = self.final_size = num_directions * options.hidden_size

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        x_BSD = self.dropout(self.embedding(source_BS))
        outputs, finals, steps, costs = [], [], [], []
        for direction, recurrence in enumerate(self.directions):
            read_BSD = reverse_within(x_BSD, source_length_B) if direction else x_BSD
            read_BSD, final, steps_BS, costs_BS = recurrence(read_BSD, mask_BS)
            if direction:
                read_BSD = reverse_within(read_BSD, source_length_B)
                steps_BS = reverse_within(steps_BS[..., None], source_length_B)[..., 0]
            outputs.append(read_BSD)
            finals.append(final)
            steps.append(steps_BS)
            costs.append(costs_BS.sum())
        return EncoderOutput(
            (Memory(self.dropout(torch.cat(outputs, 2)), mask_BS),),
            tuple(torch.cat(parts, dim=2) for parts in zip(*finals, strict=True)),
            {"ponder": self.time_penalty * torch.stack(costs).sum()},
            {"ponder": torch.stack(steps).mean(0)},
        )
