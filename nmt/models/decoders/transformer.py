"""The Transformer decoder (Vaswani et al. 2017): one pass over whole sentences, or cached step by step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nmt.models.attention.cache import Cache, KeysValues
from nmt.models.attention.multihead import MultiHeadAttention, causal_bias, mask_bias, padding_bias
from nmt.models.dropout import Dropout
from nmt.models.embeddings import Positions
from nmt.models.encoders.transformer import BlockOptions, FeedForward, Residual, TransformerOptions
from nmt.models.interfaces import AttentionStep, Decoder, DecoderOutput, DecoderParts, EncoderOutput, Memory, State
from nmt.models.layer_drop import LayerDrop
from nmt.models.layers import Layers


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
