"""The Transformer (Vaswani et al. 2017): encoder and decoder, and the sublayers that they share."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.attention import Cache, KeysValues, MultiHeadAttention, mask_bias, padding_bias, weights_by_row
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
from nmt.models.fixed import FixedState
from nmt.models.layers import Dropout, LayerNorm, Layers, Linear, PositionKind, Positions, length_mask
from nmt.recipe.options import FREE, Options

CROWDED = 96  # slots of a search's caches from which on orphans are looked for
WORTH_KEEPING = 0.75  # share of slots in use above which the others stay, because leaving them out means copying


ACTIVATIONS = {"relu": torch.relu, "silu": F.silu, "gelu": F.gelu}


class BlockOptions(Options):
    """Options of a layer of the Transformer, and of what its input is."""

    num_heads: int = Field(4, ge=1, le=1000, description="of each attention; they share out the width")
    feed_forward_size: int = Field(1024, ge=1, le=100_000, description="width inside the feed-forward layer")
    dropout: Annotated[float, FREE] = Field(0.1, ge=0, lt=1, description="on embeddings and on what each sublayer adds")
    attention_dropout: Annotated[float, FREE] = Field(0.0, ge=0, lt=1, description="on attention weights")
    activation_dropout: Annotated[float, FREE] = Field(0.0, ge=0, lt=1, description="inside the feed-forward layer")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before each sublayer, or after the sum")
    positions: PositionKind = Field(
        "sinusoidal", description="code added to the embeddings; halves is that of Marian, fairseq that of M2M100"
    )
    max_positions: int = Field(512, ge=1, le=1_000_000, description="number of learned positions")
    activation: Literal["relu", "silu", "gelu"] = Field("relu", description="function inside the feed-forward layer")


class TransformerOptions(BlockOptions):
    """Options of ``type: transformer``, for the encoder and the decoder. The width is ``embedding_size``."""

    gone = ("layer_drop",)
    num_layers: int = Field(3, ge=1, le=1000, description="layers one above another")
    embedding_norm: bool = Field(False, description="layer norm of the embeddings with their positions, as in mBART")
    first_token: int | None = Field(
        None, ge=0, description="decoder: id of a token that it reads before SOS, as in M2M100"
    )


class FeedForward(nn.Module):
    """Position-wise: W2 f(W1 x + b1) + b2, where f is ReLU, SiLU or GELU."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.inner = Linear(width, options.feed_forward_size)
        self.out = Linear(options.feed_forward_size, width)
        self.dropout = Dropout(options.activation_dropout)
        self.activation = ACTIVATIONS[options.activation]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.dropout(self.activation(self.inner(x))))
        return out


class Residual(nn.Module):
    """x + dropout(f(norm(x))) (pre-norm), or norm(x + dropout(f(x))) (post-norm, as in the paper)."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.dropout = Dropout(options.dropout)
        self.pre = options.norm == "pre"

    def before(self, x: Tensor) -> Tensor:
        """Returns the input of the sublayer."""
        return self.branch(x)[1]

    def branch(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ``x`` for :meth:`after`, and the input of the sublayer."""
        return self.norm.branch(x) if self.pre else (x, x)

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
        x_BSD, y_BSD = self.around_attention.branch(x_BSD)
        queries_BHSd, keys_values = self.attention.project_self(y_BSD)
        attended_BSD, _ = self.attention(y_BSD, keys_values, bias, queries_BHTd=queries_BHSd)
        x_BSD = self.around_attention.after(x_BSD, attended_BSD)
        x_BSD, y_BSD = self.around_feed_forward.branch(x_BSD)
        return self.around_feed_forward.after(x_BSD, self.feed_forward(y_BSD))


class TransformerEncoder(Encoder):
    """Embedding and position code, then a stack of self-attention layers."""

    Options = TransformerOptions

    def __init__(self, options: TransformerOptions, parts: EncoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding = parts.embedding
        self.num_heads = options.num_heads
        self.positions = Positions(width, options.positions, options.max_positions)
        self.layers: Layers[EncoderLayer] = Layers(EncoderLayer(width, options) for _ in range(options.num_layers))
        # Pre-norm leaves the sum of all layers unnormalised; post-norm has normalised it already.
        self.norm = LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.embedding_norm = LayerNorm(width) if options.embedding_norm else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.memory_sizes, self.final_size = (width,), width

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        x_BSD = self.dropout(self.embedding_norm(self.positions(self.embedding(source_BS))))
        bias = padding_bias(mask_BS).to(x_BSD.dtype)
        for layer in self.layers:
            x_BSD = layer(x_BSD, bias)
        return EncoderOutput((Memory(self.norm(x_BSD), mask_BS),))


class DecoderLayer(nn.Module):
    """Self-attention over the target so far, attention over the source, and a feed-forward layer.

    ``memory_width`` is None in a language model, which has no source to attend to.
    """

    def __init__(self, width: int, memory_width: int | None, options: BlockOptions) -> None:
        super().__init__()
        heads, dropout = options.num_heads, options.attention_dropout
        self.self_attention = MultiHeadAttention(width, heads, dropout)
        self.cross_attention = MultiHeadAttention(width, heads, dropout, memory_width) if memory_width else None
        self.feed_forward = FeedForward(width, options)
        self.around_self = Residual(width, options)
        self.around_cross = Residual(width, options) if memory_width else None
        self.around_feed_forward = Residual(width, options)

    def forward(
        self,
        x_BQD: Tensor,
        cache: Cache,
        self_bias: Tensor | None,
        cross: KeysValues,
        cross_bias: Tensor,
        need_weights: bool,
    ) -> tuple[Tensor, Cache, Tensor | None]:
        """New tokens of the K hypotheses of a sentence through the layer.

        Returns:
            Their vectors, the cache with them, and the cross-attention weights [B, H, Q, S] if asked for.
        """
        x_BQD, y_BQD = self.around_self.branch(x_BQD)
        queries_BHQd, keys_values = self.self_attention.project_self(y_BQD)
        cache = cache.append(keys_values)
        attended_BQD, _ = self.self_attention(y_BQD, cache.keys_values, self_bias, queries_BHTd=queries_BHQd)
        x_BQD = self.around_self.after(x_BQD, attended_BQD)

        weights_BHQS = None
        if self.cross_attention is not None and self.around_cross is not None:
            x_BQD, y_BQD = self.around_cross.branch(x_BQD)
            attended_BQD, weights_BHQS = self.cross_attention(y_BQD, cross, cross_bias, need_weights)
            x_BQD = self.around_cross.after(x_BQD, attended_BQD)

        x_BQD, y_BQD = self.around_feed_forward.branch(x_BQD)
        return self.around_feed_forward.after(x_BQD, self.feed_forward(y_BQD)), cache, weights_BHQS


def projected_memory(memory: Memory, attentions: Iterable[MultiHeadAttention]) -> Memory:
    """The memory whose ``keys`` are the keys and values of each attention to the source."""
    keys = tuple(attention.project(memory.values_BSD) for attention in attentions)
    if not torch.is_grad_enabled():  # search reads them at every step, which is faster in the order of reading
        keys = tuple((keys.contiguous(), values.contiguous()) for keys, values in keys)
    return Memory(memory.values_BSD[:, :, :0], memory.mask_BS, keys)  # nothing reads the values themselves any more


@dataclass(frozen=True)
class TransformerState(State):
    """State of a decoder of Transformer layers."""

    memory: Memory  # its ``keys`` are the keys and values of each layer's attention to the source
    caches: tuple[Cache, ...]  # cache of each layer
    ancestor_NC: Tensor  # True at the slots of the caches that hold a hypothesis' own past
    num_tokens: int
    crowded_at: int = CROWDED  # slots at which those that are no hypothesis' past are looked for and left out

    @classmethod
    def start(cls, memory: Memory, attentions: Iterable[MultiHeadAttention], num_caches: int) -> "TransformerState":
        """The state before the first token; ``attentions`` are those to the source."""
        memory = projected_memory(memory, attentions)
        no_ancestors = memory.mask_BS.new_empty(len(memory.mask_BS), 0)
        return cls(memory, (Cache.empty(memory.keys[0]),) * num_caches, no_ancestors, 0)

    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        state = super().reorder(rows, sentences)
        return state if state.ancestor_NC.shape[1] < self.crowded_at or not len(rows) else state._without_orphans()

    def _without_orphans(self) -> Self:
        """Leave out slots of hypotheses that were given up; attention to all of them costs K² instead of K."""
        ancestor_BKC = torch.unflatten(self.ancestor_NC, 0, (len(self.memory.mask_BS), -1))
        used_BC = ancestor_BKC.any(1)
        num_used = int(used_BC.sum(1).max())
        state = replace(self, crowded_at=max(2 * num_used, CROWDED))
        if num_used > WORTH_KEEPING * used_BC.shape[1]:
            return state
        slots_BC = used_BC.byte().argsort(dim=1, descending=True, stable=True)[:, :num_used]
        ancestor_BKC = ancestor_BKC.gather(2, slots_BC[:, None].expand(-1, ancestor_BKC.shape[1], -1))
        caches = tuple(cache.keep(slots_BC) for cache in self.caches)
        return replace(state, caches=caches, ancestor_NC=ancestor_BKC.flatten(0, 1))

    def visible_slots(self, num_new: int) -> Tensor:
        """For T new tokens of each row, which slots each may see: its ancestors, its predecessors among the new ones,
        and its own. [N, T, C + K·T]"""
        num_rows, num_sentences = len(self.ancestor_NC), len(self.memory.mask_BS)
        own_KK = torch.eye(num_rows // num_sentences, dtype=torch.bool, device=self.ancestor_NC.device)
        past_TT = torch.ones(num_new, num_new, dtype=torch.bool, device=self.ancestor_NC.device).tril()
        own_KTQ = (own_KK[:, None, :, None] & past_TT[None, :, None]).flatten(2)
        ancestor_NTC = self.ancestor_NC[:, None].expand(-1, num_new, -1)
        return torch.cat((ancestor_NTC, own_KTQ.repeat(num_sentences, 1, 1)), dim=2)


class CachedDecoder(Decoder):
    """A decoder of Transformer layers, which reads any number of tokens in one pass. The keys and values of the tokens
    before are in caches. The K hypotheses of a sentence are read as if they were one sequence of Q = K·T positions."""

    def advance(
        self, token_NT: Tensor, state: TransformerState, need_weights: bool = False
    ) -> tuple[DecoderOutput, TransformerState]:
        return self._read(token_NT, state, need_weights, is_last=False)

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        return self._read(target_BT, self.start(encoded), need_weights, is_last=True)[0]

    @abstractmethod
    def start(self, encoded: EncoderOutput) -> TransformerState: ...

    @abstractmethod
    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor | None, need_weights: bool, is_last: bool
    ) -> tuple[DecoderOutput, tuple[Cache, ...]]:
        """Run the layers: features and diagnostics with B rows of Q positions, weights [B, H, Q, S], and the caches,
        which nothing reads where ``is_last``. ``self_bias`` [B, 1, Q, C] is -inf at slots that a token may not see;
        None where it sees those before it."""

    def _read(
        self, token_NT: Tensor, state: TransformerState, need_weights: bool, is_last: bool
    ) -> tuple[DecoderOutput, TransformerState]:
        (num_rows, num_new), num_sentences = token_NT.shape, len(state.memory.mask_BS)
        is_whole = is_last and num_rows == num_sentences and not state.ancestor_NC.shape[1]
        visible_NTC, self_bias = state.ancestor_NC[:, None], None
        if need_weights or token_NT.is_cpu or not is_whole:
            visible_NTC = state.visible_slots(num_new)
            self_bias = mask_bias(visible_NTC).view(num_sentences, 1, -1, visible_NTC.shape[2])
        output, caches = self._run(token_NT, state, self_bias, need_weights, is_last)
        weights_BHQS = output.weights_BHTS
        output = DecoderOutput(
            output.features_BTD.reshape(num_rows, num_new, -1),
            None if weights_BHQS is None else weights_by_row(weights_BHQS, num_new),
            output.aux_losses,
            {name: values.view(num_rows, num_new) for name, values in output.diagnostics.items()},
        )
        num_tokens = state.num_tokens + num_new
        return output, replace(state, caches=caches, ancestor_NC=visible_NTC[:, -1], num_tokens=num_tokens)


class TransformerDecoder(CachedDecoder):
    """A stack of :class:`DecoderLayer`. Every head of every layer can give its cross-attention; without an encoder
    there is none.
    """

    Options = TransformerOptions
    supervised_step = "input"  # the step that has read the word to align (Garg et al. 2019)

    def __init__(self, options: TransformerOptions, parts: DecoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding = parts.embedding
        self.num_heads = options.num_heads
        self.positions = Positions(width, options.positions, options.max_positions)
        self.layers: Layers[DecoderLayer] = Layers(
            DecoderLayer(width, parts.memory_size if parts.memory_sizes else None, options)
            for _ in range(options.num_layers)
        )
        self.norm = LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.embedding_norm = LayerNorm(width) if options.embedding_norm else nn.Identity()
        self.first_token = options.first_token
        if options.first_token is not None and options.first_token >= len(parts.embedding.weight):
            raise ValueError(f"the first_token {options.first_token} is none of {len(parts.embedding.weight)} ids")
        self.dropout = Dropout(options.dropout)
        self.output = parts.output
        heads = product(range(options.num_layers if parts.memory_sizes else 0), range(options.num_heads))
        self.heads = tuple(Head(head, layer) for layer, head in heads)

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """The heads of the last layer but one, which align best (Garg et al. 2019)."""
        layer = max(len(self.layers) - 2, 0)
        return tuple(index for index, head in enumerate(self.heads) if head.layer == layer)

    def start(self, encoded: EncoderOutput) -> TransformerState:
        # Without a source there are no positions to project, and any attention gives keys of the right shape.
        attentions = [layer.cross_attention or layer.self_attention for layer in self.layers]
        state = TransformerState.start(encoded.memories[0], attentions, len(self.layers))
        if self.first_token is None:
            return state
        token_B1 = torch.full((len(encoded.memories[0].mask_BS), 1), self.first_token, device=state.ancestor_NC.device)
        return self.advance(token_B1, state)[1]

    def fixed(self, state: TransformerState | FixedState, num_steps: int) -> FixedState:
        if not isinstance(state, FixedState):
            state = FixedState.of(state.memory, state.caches, state.ancestor_NC, state.num_tokens)
        self.positions.sinusoidal(state.first_position + num_steps, state.ancestor_NC.device)
        return state.with_room(num_steps)

    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor | None, need_weights: bool, is_last: bool
    ) -> tuple[DecoderOutput, tuple[Cache, ...]]:
        cross_bias = padding_bias(state.memory.mask_BS).to(state.memory.values_BSD.dtype)
        x_NTD = self.embedding_norm(self.positions(self.embedding(token_NT), state.num_tokens))
        x_BQD = self.dropout(x_NTD.view(len(cross_bias), -1, x_NTD.shape[2]))
        caches: list[Cache] = []
        weights: list[Tensor] = []
        for layer, cache, cross in zip(self.layers, state.caches, state.memory.keys, strict=True):
            x_BQD, cache, layer_weights = layer(x_BQD, cache, self_bias, cross, cross_bias, need_weights)
            caches.append(cache)
            weights.append(layer_weights)
        weights_BHQS = torch.cat(weights, dim=1) if need_weights and self.heads else None
        return DecoderOutput(self.norm(x_BQD), weights_BHQS), tuple(caches)
