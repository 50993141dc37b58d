"""The Transformer (Vaswani et al. 2017): encoder and decoder, and the sublayers that they share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.config import Options
from nmt.models.interfaces import (
    AttentionStep,
    Decoder,
    DecoderOutput,
    DecoderParts,
    Encoder,
    EncoderOutput,
    Memory,
    State,
)
from nmt.models.layers import Dropout, Embedding, LayerDrop, Layers, Positions, length_mask
from nmt.models.multihead import Cache, KeysValues, MultiHeadAttention, causal_bias, mask_bias, padding_bias


class BlockOptions(Options):
    """Options of a layer of the Transformer, and of what its input is."""

    num_heads: int = Field(4, ge=1, le=1000, description="of each attention; they share out the width")
    feed_forward_size: int = Field(1024, ge=1, le=100_000, description="width inside the feed-forward layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="on embeddings and on what each sublayer adds")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="on attention weights")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="inside the feed-forward layer")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before each sublayer, or after the sum")
    positions: Literal["sinusoidal", "learned"] = Field("sinusoidal", description="code added to the embeddings")
    max_positions: int = Field(512, ge=1, le=1_000_000, description="number of learned positions")


class TransformerOptions(BlockOptions):
    """Options of ``type: transformer``, for the encoder and the decoder. The width is ``embedding_size``."""

    num_layers: int = Field(3, ge=1, le=1000, description="layers one above another")
    layer_drop: float = Field(
        0.0, ge=0, lt=1, description="probability that a layer is left out of a training step (Fan et al. 2020)"
    )


class FeedForward(nn.Module):
    """Position-wise: W2 max(0, W1 x + b1) + b2."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.inner = nn.Linear(width, options.feed_forward_size)
        self.out = nn.Linear(options.feed_forward_size, width)
        self.dropout = Dropout(options.activation_dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.dropout(self.inner(x).relu()))
        return out


class Residual(nn.Module):
    """x + dropout(f(norm(x))) (pre-norm), or norm(x + dropout(f(x))) (post-norm, as in the paper)."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(options.dropout)
        self.pre = options.norm == "pre"

    def before(self, x: Tensor) -> Tensor:
        """What the sublayer reads."""
        y: Tensor = self.norm(x) if self.pre else x
        return y

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """``x`` with what the sublayer gave."""
        x = x + self.dropout(y)
        return x if self.pre else self.norm(x)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each with its residual."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, options.num_heads, options.attention_dropout)
        self.feed_forward = FeedForward(width, options)
        self.around_attention = Residual(width, options)
        self.around_feed_forward = Residual(width, options)

    def forward(self, x_BSD: Tensor, bias: Tensor) -> Tensor:
        y_BSD = self.around_attention.before(x_BSD)
        attended_BSD, _ = self.attention(y_BSD, self.attention.project(y_BSD), bias)
        x_BSD = self.around_attention.after(x_BSD, attended_BSD)
        y_BSD = self.around_feed_forward.before(x_BSD)
        return self.around_feed_forward.after(x_BSD, self.feed_forward(y_BSD))


class TransformerEncoder(Encoder):
    """Embedding and position code, then a stack of self-attention layers."""

    Options = TransformerOptions

    def __init__(self, options: TransformerOptions, embedding: Embedding) -> None:
        super().__init__()
        width = embedding.size
        self.embedding = embedding
        self.num_heads = options.num_heads
        self.positions = Positions(width, options.positions, options.max_positions)
        self.layers: Layers[EncoderLayer] = Layers(EncoderLayer(width, options) for _ in range(options.num_layers))
        # Pre-norm leaves the sum of all layers unnormalised; post-norm has normalised it already.
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.layer_drop = LayerDrop(options.layer_drop)
        self.output_size = self.final_size = width

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        bias = padding_bias(mask_BS)
        x_BSD = self.dropout(self.positions(self.embedding(source_BS)))
        for layer, kept in zip(self.layers, self.layer_drop.kept(len(self.layers)), strict=True):
            if kept:
                x_BSD = layer(x_BSD, bias)
        return EncoderOutput((Memory(self.norm(x_BSD), mask_BS),))


@dataclass(frozen=True)
class TransformerState(State):
    """``memory.keys`` holds the cross-attention keys and values of every layer."""

    memory: Memory
    caches: tuple[Cache, ...]
    """Of each layer."""
    ancestor_NC: Tensor
    """True at the slots of the caches that hold a hypothesis' own past."""
    num_tokens: int


class DecoderLayer(nn.Module):
    """Self-attention over the target so far, attention over the source, and a feed-forward layer."""

    def __init__(self, width: int, memory_width: int, options: BlockOptions) -> None:
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
        x_BQD: Tensor,
        cache: Cache | None,
        self_bias: Tensor,
        cross: KeysValues,
        cross_bias: Tensor,
        need_weights: bool,
    ) -> tuple[Tensor, Cache | None, Tensor | None]:
        """The T tokens of a sentence, or the next token of its K hypotheses, through the layer.

        Returns:
            Their vectors, the cache with them (None where none was given) and the cross-attention weights.
        """
        y_BQD = self.around_self.before(x_BQD)
        keys_values = self.self_attention.project(y_BQD)
        if cache is not None:
            cache = cache.append(keys_values)
            keys_values = cache.keys_values
        attended_BQD, _ = self.self_attention(y_BQD, keys_values, self_bias)
        x_BQD = self.around_self.after(x_BQD, attended_BQD)

        y_BQD = self.around_cross.before(x_BQD)
        attended_BQD, weights = self.cross_attention(y_BQD, cross, cross_bias, need_weights)
        x_BQD = self.around_cross.after(x_BQD, attended_BQD)

        y_BQD = self.around_feed_forward.before(x_BQD)
        return self.around_feed_forward.after(x_BQD, self.feed_forward(y_BQD)), cache, weights


class TransformerDecoder(Decoder):
    """A stack of :class:`DecoderLayer`. Every head of every layer can show its cross-attention.

    Layers are dropped where whole sentences are unrolled and no weights are asked for, which each layer would owe.
    """

    Options = TransformerOptions

    def __init__(self, options: TransformerOptions, parts: DecoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding = parts.embedding
        self.num_heads = options.num_heads
        self.positions = Positions(width, options.positions, options.max_positions)
        self.layers: Layers[DecoderLayer] = Layers(
            DecoderLayer(width, parts.memory_size, options) for _ in range(options.num_layers)
        )
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.layer_drop = LayerDrop(options.layer_drop)
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
        """The first of those heads, at the step that has read the word to align (Garg et al. 2019)."""
        return self.alignment_heads[0], "input"

    def _project(self, memory: Memory) -> Memory:
        """The memory with the keys and values of every layer; nobody asks for its own values any more."""
        keys = tuple(layer.cross_attention.project(memory.values_BSD) for layer in self.layers)
        return Memory(memory.values_BSD[:, :, :0], memory.mask_BS, keys)

    def start(self, encoded: EncoderOutput) -> TransformerState:
        memory = self._project(encoded.memories[0])
        # Search reads them at every step: in the order of reading, they needn't be copied there each time.
        keys = tuple((keys.contiguous(), values.contiguous()) for keys, values in memory.keys)
        no_ancestors = memory.mask_BS.new_empty(len(memory.mask_BS), 0)
        return TransformerState(replace(memory, keys=keys), tuple(map(Cache.empty, keys)), no_ancestors, 0)

    def _run(
        self,
        x_BQD: Tensor,
        memory: Memory,
        caches: Iterable[Cache | None],
        self_bias: Tensor,
        kept: Sequence[bool],
        need_weights: bool,
    ) -> tuple[Tensor, tuple[Cache, ...], Tensor | None]:
        """New tokens through the layers that are kept: features, longer caches, weights of all heads [B, H, Q, S]."""
        cross_bias = padding_bias(memory.mask_BS)
        x_BQD = self.dropout(x_BQD)
        longer: list[Cache] = []
        weights: list[Tensor] = []
        for layer, cache, cross, is_kept in zip(self.layers, caches, memory.keys, kept, strict=True):
            if not is_kept:
                continue
            x_BQD, grown, layer_weights = layer(x_BQD, cache, self_bias, cross, cross_bias, need_weights)
            if grown is not None:
                longer.append(grown)
            if layer_weights is not None:
                weights.append(layer_weights)
        return self.norm(x_BQD), tuple(longer), torch.cat(weights, dim=1) if need_weights else None

    def advance(
        self, token_N: Tensor, state: TransformerState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, TransformerState]:
        num_sentences = len(state.memory.mask_BS)
        ancestor_NC = with_own_slot(state.ancestor_NC, num_sentences)
        x_N1D = self.positions(self.embedding(token_N[:, None]), state.num_tokens)
        x_BKD, caches, weights_BHKS = self._run(
            x_N1D.view(num_sentences, -1, x_N1D.shape[2]),
            state.memory,
            state.caches,
            mask_bias(ancestor_NC).view(num_sentences, 1, -1, ancestor_NC.shape[1]),
            [True] * len(self.layers),
            need_weights,
        )
        weights_NHS = weights_BHKS.transpose(1, 2).flatten(0, 1) if weights_BHKS is not None else None
        state = replace(state, caches=caches, ancestor_NC=ancestor_NC, num_tokens=state.num_tokens + 1)
        return x_BKD.flatten(0, 1), weights_NHS, state

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        x_BTD = self.positions(self.embedding(target_BT))
        bias = causal_bias(target_BT.shape[1], target_BT.device)
        num_layers = len(self.layers)
        kept = [True] * num_layers if need_weights else self.layer_drop.kept(num_layers)
        features_BTD, _, weights_BHTS = self._run(
            x_BTD, self._project(encoded.memories[0]), [None] * num_layers, bias, kept, need_weights
        )
        return DecoderOutput(features_BTD, weights_BHTS)


def with_own_slot(ancestor_NC: Tensor, num_sentences: int) -> Tensor:
    """Each of the K hypotheses of a sentence gets a slot of its own behind the present ones. [N, C + K]"""
    num_hypotheses = len(ancestor_NC) // num_sentences
    own_KK = torch.eye(num_hypotheses, dtype=torch.bool, device=ancestor_NC.device)
    return torch.cat((ancestor_NC, own_KK.repeat(num_sentences, 1)), dim=1)
