"""The Transformer decoder (Vaswani et al. 2017): one pass over whole sentences, or cached step by step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.models.attention.multihead import MultiHeadAttention, causal_bias, padding_bias
from nmt.models.dropout import Dropout
from nmt.models.embeddings import Positions
from nmt.models.encoders.transformer import FeedForward, Residual, TransformerOptions
from nmt.models.interfaces import AttentionStep, Decoder, DecoderParts, Encoded, Memory, State, Unrolled
from nmt.models.layers import Layers

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TransformerState(State):
    """``memory.keys`` holds the cross-attention keys and values of every layer."""

    memory: Memory
    caches: tuple[KeysValues, ...]
    """Keys and values of the tokens so far, for each layer, [N, H, tokens, d]."""
    num_tokens: int


class DecoderLayer(nn.Module):
    """Self-attention over the target so far, attention over the source, and a feed-forward layer."""

    def __init__(self, width: int, memory_width: int, options: TransformerOptions) -> None:
        super().__init__()
        heads, dropout = options.num_heads, options.attention_dropout
        self.self_attention = MultiHeadAttention(width, heads, dropout)
        self.cross_attention = MultiHeadAttention(width, heads, dropout, memory_width)
        self.feed_forward = FeedForward(width, options)
        self.around_self = Residual(width, options)
        self.around_cross = Residual(width, options)
        self.around_feed_forward = Residual(width, options)

    def forward(
        self,
        x_NTD: Tensor,
        cache: KeysValues | None,
        self_bias: Tensor | None,
        cross: KeysValues,
        cross_bias: Tensor,
        need_weights: bool,
    ) -> tuple[Tensor, KeysValues, Tensor | None]:
        """New tokens through the layer: their vectors, the longer cache and the cross-attention weights.

        In search N is B·K while ``cross`` has B sentences: the K hypotheses of a sentence then ask as if they
        were positions of one query, so that nothing of the memory is repeated.
        """
        y_NTD = self.around_self.before(x_NTD)
        keys_values = self.self_attention.project(y_NTD)
        if cache is not None:
            keys, values = keys_values
            keys_values = torch.cat((cache[0], keys), dim=2), torch.cat((cache[1], values), dim=2)
        attended_NTD, _ = self.self_attention(y_NTD, keys_values, self_bias)
        x_NTD = self.around_self.after(x_NTD, attended_NTD)

        y_NTD = self.around_cross.before(x_NTD)
        y_BQD = y_NTD.reshape(cross[0].shape[0], -1, y_NTD.shape[2])
        attended_BQD, weights = self.cross_attention(y_BQD, cross, cross_bias, need_weights)
        x_NTD = self.around_cross.after(x_NTD, attended_BQD.view_as(x_NTD))

        y_NTD = self.around_feed_forward.before(x_NTD)
        return self.around_feed_forward.after(x_NTD, self.feed_forward(y_NTD)), keys_values, weights


class TransformerDecoder(Decoder):
    """A stack of :class:`DecoderLayer`. Every head of every layer can show its cross-attention."""

    Options = TransformerOptions

    def __init__(self, options: TransformerOptions, parts: DecoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding = parts.embedding
        self.positions = Positions(width, options.positions, options.max_positions)
        self.layers: Layers[DecoderLayer] = Layers(
            DecoderLayer(width, parts.memory_size, options) for _ in range(options.num_layers)
        )
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.output = parts.output
        self.head_names = tuple(
            f"layer {layer + 1} head {head + 1}"
            for layer in range(options.num_layers)
            for head in range(options.num_heads)
        )

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """The heads of the last layer but one, which align best (Garg et al. 2019)."""
        layer, heads = max(len(self.layers) - 2, 0), len(self.head_names) // len(self.layers)
        return tuple(range(layer * heads, (layer + 1) * heads))

    @property
    def guided_head(self) -> tuple[int, AttentionStep]:
        """The first of those heads, at the step that has read the word to align (Garg et al. 2019, section 4)."""
        return self.alignment_heads[0], "input"

    def start(self, encoded: Encoded) -> TransformerState:
        memory = encoded.memories[0]
        keys = tuple(layer.cross_attention.project(memory.values_BSD) for layer in self.layers)
        empty = keys[0][0][:, :, :0]
        # The values went into the keys of every layer; nobody asks for them again.
        return TransformerState(
            Memory(memory.values_BSD[:, :, :0], memory.mask_BS, keys), tuple((empty, empty) for _ in self.layers), 0
        )

    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, list[Tensor], tuple[KeysValues, ...]]:
        """New tokens through all layers: features, the weights of each layer, the longer caches."""
        cross_bias = padding_bias(state.memory.mask_BS)
        x_NTD = self.dropout(self.positions(self.embedding(token_NT), state.num_tokens))
        caches, weights = [], []
        for layer, cache, cross in zip(self.layers, state.caches, state.memory.keys, strict=True):
            x_NTD, keys_values, layer_weights = layer(
                x_NTD, cache if state.num_tokens else None, self_bias, cross, cross_bias, need_weights
            )
            caches.append(keys_values)
            weights.append(layer_weights)
        return self.norm(x_NTD), weights, tuple(caches)

    def advance(
        self, token_N: Tensor, state: TransformerState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, TransformerState]:
        x_N1D, weights, caches = self._run(token_N[:, None], state, None, need_weights)
        next_state = TransformerState(state.memory, caches, state.num_tokens + 1)
        if not need_weights:
            return x_N1D[:, 0], None, next_state
        # [B, heads of all layers, K, S] -> [N, heads of all layers, S]
        weights_NHS = torch.cat(weights, dim=1).transpose(1, 2).flatten(0, 1)
        return x_N1D[:, 0], weights_NHS, next_state

    def unroll(self, target_BT: Tensor, encoded: Encoded, need_weights: bool = False) -> Unrolled:
        bias = causal_bias(target_BT.shape[1], target_BT.device)
        x_BTD, weights, _ = self._run(target_BT, self.start(encoded), bias, need_weights)
        return Unrolled(x_BTD, torch.cat(weights, dim=1) if need_weights else None)
