"""The Universal Transformer (Dehghani et al. 2019): one layer applied again and again, as often as a position needs."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attention.multihead import Cache, padding_bias
from nmt.models.contracts import DecoderOutput, DecoderParts, Encoder, EncoderOutput, EncoderParts, Head, Memory
from nmt.models.layers import Dropout, Positions, length_mask, sinusoids
from nmt.models.networks.act import HaltingUnit, Parts, PonderOptions, ponder
from nmt.models.networks.transformer import BlockOptions, CachedDecoder, DecoderLayer, EncoderLayer, TransformerState


class UniversalOptions(BlockOptions, PonderOptions):
    """Options of ``type: universal_transformer``, for the encoder and the decoder. The width is ``embedding_size``."""

    norm: Literal["pre", "post"] = Field("post", description="layer norm before each sublayer, or after the sum")


class TimedPositions(nn.Module):
    """Adds the code of the position and that of the step (Dehghani et al. 2019, equations 6 and 7)."""

    def __init__(self, size: int, options: UniversalOptions) -> None:
        super().__init__()
        self.positions = Positions(size, options.positions, options.max_positions)
        self.register_buffer("steps", sinusoids(options.max_steps, size), persistent=False)

    def forward(self, x_BTD: Tensor, step: int, start: int = 0) -> Tensor:
        """``step`` counts from 0; ``start`` is the position of the first token."""
        timed_BTD: Tensor = self.positions(x_BTD, start)
        return timed_BTD + self.get_buffer("steps")[step].to(x_BTD.dtype)


class UniversalTransformerEncoder(Encoder):
    """Dehghani et al. 2019: one encoder layer of the Transformer, applied again and again with shared weights.

    Each step adds position and time-step code, and each position halts when its halting units add up to 1 - ε. While a
    position runs, the others see its latest state; then they see the mean that is its result.
    The diagnostic ``ponder`` is the number of steps of a word.
    """

    Options = UniversalOptions

    def __init__(self, options: UniversalOptions, parts: EncoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding = parts.embedding
        self.positions = TimedPositions(width, options)
        self.layer = EncoderLayer(width, options)
        self.halting = HaltingUnit(width, options)
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.options = options
        self.memory_sizes, self.final_size = (width,), width

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        bias = padding_bias(mask_BS)

        def step(parts: Parts, n: int) -> tuple[Parts, Tensor]:
            x_BSD = self.layer(self.positions(parts[0], n), bias)
            return (x_BSD,), self.halting(x_BSD)

        start = (self.dropout(self.embedding(source_BS)),)
        (mean_BSD,), halting = ponder(step, start, mask_BS, self.options, freezes=True)
        memory = Memory(self.norm(mean_BSD), mask_BS)
        if not self.options.adaptive:
            return EncoderOutput((memory,))
        cost = self.options.time_penalty * halting.cost_X.sum()
        return EncoderOutput((memory,), (), {"ponder": cost}, {"ponder": halting.steps_X})


class UniversalTransformerDecoder(CachedDecoder):
    """Dehghani et al. 2019: one decoder layer of the Transformer, applied again and again with shared weights.

    There is a cache for each step: a token that has halted is seen at all later steps as the mean state it ended with,
    so its keys are needed there too. A head's attention to the source is the mean of its steps under the halting
    weights. The diagnostic ``ponder`` is the number of steps that predict a token.
    """

    Options = UniversalOptions

    def __init__(self, options: UniversalOptions, parts: DecoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding, self.output = parts.embedding, parts.output
        self.positions = TimedPositions(width, options)
        self.layer = DecoderLayer(width, parts.memory_size, options)
        self.halting = HaltingUnit(width, options)
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.options = options
        self.heads = tuple(Head(head) for head in range(options.num_heads))

    def start(self, encoded: EncoderOutput) -> TransformerState:
        attention = self.layer.cross_attention
        assert attention is not None
        return TransformerState.start(encoded.memories[0], [attention], self.options.max_steps)

    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor, need_weights: bool, is_last: bool
    ) -> tuple[DecoderOutput, tuple[Cache, ...]]:
        cross_bias, (cross,) = padding_bias(state.memory.mask_BS), state.memory.keys
        token_BQ = token_NT.reshape(len(cross_bias), -1)
        caches: list[Cache] = []

        def timed(x_BQD: Tensor, step: int) -> Tensor:
            coded: Tensor = self.positions(x_BQD.view(*token_NT.shape, -1), step, state.num_tokens)
            return coded.view_as(x_BQD)

        def step(parts: Parts, n: int) -> tuple[Parts, Tensor]:
            x_BQD, cache, weights_BHQS = self.layer(
                timed(parts[0], n), state.caches[n], self_bias, cross, cross_bias, need_weights
            )
            caches.append(cache)
            weights = (weights_BHQS.transpose(1, 2),) if need_weights else ()
            return (x_BQD, *weights), self.halting(x_BQD)

        start, everywhere = (self.dropout(self.embedding(token_BQ)),), torch.ones_like(token_BQ, dtype=torch.bool)
        (mean_BQD, *weights), halting = ponder(step, start, everywhere, self.options, freezes=True)
        for n in range(len(caches), 0 if is_last else self.options.max_steps):
            # Later tokens may take more steps, and will see these.
            y_BQD = self.layer.around_self.before(timed(mean_BQD, n))
            caches.append(state.caches[n].append(self.layer.self_attention.project(y_BQD)))
        output = DecoderOutput(self.norm(mean_BQD), weights[0].transpose(1, 2) if weights else None)
        if self.options.adaptive:
            real_BQ = self.embedding.is_real(token_BQ)
            output.aux_losses["ponder"] = self.options.time_penalty * (halting.cost_X * real_BQ).sum()
            output.diagnostics["ponder"] = halting.steps_X * real_BQ
        return output, tuple(caches)
