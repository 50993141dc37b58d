"""A decoder of simpler simple recurrent units in place of self-attention (Kim et al. 2019)."""

from dataclasses import dataclass
from itertools import product

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attention import KeysValues, MultiHeadAttention, padding_bias, weights_by_row
from nmt.models.contracts import Decoder, DecoderOutput, DecoderParts, EncoderOutput, Head, Memory, State
from nmt.models.layers import Dropout, LayerNorm, Layers, Positions
from nmt.models.networks.transformer import BlockOptions, FeedForward, Residual, projected_memory


class SsruOptions(BlockOptions):
    """Options of the decoder ``type: ssru``. The width is ``embedding_size``."""

    num_layers: int = Field(2, ge=1, le=1000, description="layers one above another")
    feed_forward_size: int = Field(0, ge=0, le=100_000, description="width inside the feed-forward layer; 0: none")


class Ssru(nn.Module):
    """Simpler simple recurrent unit: f_t = σ(W_f x_t + b), c_t = f_t c_{t-1} + (1 - f_t) W x_t, h_t = max(0, c_t).

    Both products depend on the input alone, so they are computed for all steps at once, and a step of search costs the
    same however many words came before.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.forget = nn.Linear(width, width)
        self.value = nn.Linear(width, width, bias=False)

    def forward(self, x_NTD: Tensor, cell_ND: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [N, T, D] and the cell after the last step [N, D]."""
        forget_NTD = self.forget(x_NTD).to(cell_ND.dtype).sigmoid()
        new_NTD = (1 - forget_NTD) * self.value(x_NTD).to(cell_ND.dtype)
        cells = []
        for forget_ND, new_ND in zip(forget_NTD.unbind(1), new_NTD.unbind(1), strict=True):
            cell_ND = torch.addcmul(new_ND, forget_ND, cell_ND)
            cells.append(cell_ND)
        return torch.stack(cells, dim=1).relu().to(x_NTD.dtype), cell_ND


class SsruLayer(nn.Module):
    """A recurrent unit over the target so far, attention over the source, and perhaps a feed-forward layer."""

    def __init__(self, width: int, memory_width: int, options: SsruOptions) -> None:
        super().__init__()
        self.unit = Ssru(width)
        self.attention = MultiHeadAttention(width, options.num_heads, options.attention_dropout, memory_width)
        self.feed_forward = FeedForward(width, options) if options.feed_forward_size else None
        self.around_unit = Residual(width, options)
        self.around_attention = Residual(width, options)
        self.around_feed_forward = Residual(width, options) if options.feed_forward_size else None

    def forward(
        self, x_NTD: Tensor, cell_ND: Tensor, keys_values: KeysValues, bias: Tensor, need_weights: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """New tokens through the layer: their vectors, the cell after them, and the weights [B, H, Q, S] if asked for.
        The K hypotheses of a sentence ask its memory as Q = K·T positions."""
        y_NTD, cell_ND = self.unit(self.around_unit.before(x_NTD), cell_ND)
        x_NTD = self.around_unit.after(x_NTD, y_NTD)

        query_BQD = self.around_attention.before(x_NTD).reshape(bias.shape[0], -1, x_NTD.shape[2])
        attended_BQD, weights_BHQS = self.attention(query_BQD, keys_values, bias, need_weights)
        x_NTD = self.around_attention.after(x_NTD, attended_BQD.view(x_NTD.shape))

        if self.feed_forward is not None and self.around_feed_forward is not None:
            x_NTD = self.around_feed_forward.after(x_NTD, self.feed_forward(self.around_feed_forward.before(x_NTD)))
        return x_NTD, cell_ND, weights_BHQS


@dataclass(frozen=True)
class SsruState(State):
    """State of :class:`SsruDecoder`; its size doesn't grow with the translation."""

    memory: Memory  # its ``keys`` are the keys and values of each layer's attention to the source
    cells: tuple[Tensor, ...]  # cell state of each layer, [N, D]
    num_tokens: int


class SsruDecoder(Decoder):
    """A stack of :class:`SsruLayer`, for fast translation by a small model. Every head can give its attention."""

    Options = SsruOptions
    supervised_step = "input"

    def __init__(self, options: SsruOptions, parts: DecoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding, self.output = parts.embedding, parts.output
        self.positions = Positions(width, options.positions, options.max_positions)
        self.layers: Layers[SsruLayer] = Layers(
            SsruLayer(width, parts.memory_size, options) for _ in range(options.num_layers)
        )
        self.norm = LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        heads = product(range(options.num_layers), range(options.num_heads))
        self.heads = tuple(Head(head, layer) for layer, head in heads)

    def start(self, encoded: EncoderOutput) -> SsruState:
        memory = encoded.memories[0]
        wide = torch.promote_types(memory.values_BSD.dtype, torch.float32)  # what sums over time are computed in
        cell_ND = memory.values_BSD.new_zeros(len(memory.mask_BS), self.embedding.size, dtype=wide)
        memory = projected_memory(memory, [layer.attention for layer in self.layers])
        return SsruState(memory, (cell_ND,) * len(self.layers), 0)

    def advance(
        self, token_NT: Tensor, state: SsruState, need_weights: bool = False
    ) -> tuple[DecoderOutput, SsruState]:
        bias = padding_bias(state.memory.mask_BS)
        x_NTD = self.dropout(self.positions(self.embedding(token_NT), state.num_tokens))
        cells, weights = [], []
        for layer, cell_ND, keys_values in zip(self.layers, state.cells, state.memory.keys, strict=True):
            x_NTD, cell_ND, weights_BHQS = layer(x_NTD, cell_ND, keys_values, bias, need_weights)
            cells.append(cell_ND)
            weights.append(weights_BHQS)
        weights_NHTS = weights_by_row(torch.cat(weights, dim=1), token_NT.shape[1]) if need_weights else None
        output = DecoderOutput(self.norm(x_NTD), weights_NHTS)
        return output, SsruState(state.memory, tuple(cells), state.num_tokens + token_NT.shape[1])
