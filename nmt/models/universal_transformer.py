"""The Universal Transformer (Dehghani et al. 2019): one layer applied again and again, as often as a position needs."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.act import HaltingState, HaltingUnit, PonderOptions, spread
from nmt.models.interfaces import DecoderOutput, DecoderParts, Encoder, EncoderOutput, EncoderParts, Head, Memory
from nmt.models.layers import Dropout, Positions, length_mask, sinusoids
from nmt.models.multihead import Cache, padding_bias
from nmt.models.transformer import BlockOptions, CachedDecoder, DecoderLayer, EncoderLayer, TransformerState


class UniversalOptions(BlockOptions, PonderOptions):
    """Options of ``type: universal_transformer``, for the encoder and the decoder. The width is ``embedding_size``."""

    norm: Literal["pre", "post"] = Field("post", description="layer norm before each sublayer, or after the sum")
    adaptive: bool = Field(True, description="positions halt on their own; false: max_steps steps for all")


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


class UniversalHalting(nn.Module):
    """Halting of each position: what its state becomes, step by step.

    While a position thinks, the others see its latest state. When it halts, they go on seeing the mean of its states
    under the halting weights, which is also its result.
    """

    def __init__(self, width: int, options: UniversalOptions) -> None:
        super().__init__()
        self.unit = HaltingUnit(width, options) if options.adaptive else None
        self.max_steps, self.epsilon = options.max_steps, options.epsilon

    def forward(
        self, state_BTD: Tensor, mean_BTD: Tensor, pondering: HaltingState, step: int
    ) -> tuple[Tensor, Tensor, HaltingState, Tensor]:
        """After a step: what the next one starts from, the mean so far, how far each position has come, and p_n.

        Args:
            state_BTD: what the block gave.
            mean_BTD: Σ p_n s_n of the steps before.
            pondering: how far each position had come.
            step: counts from 0.
        """
        is_last = step == self.max_steps - 1
        if self.unit is not None:
            unit_BT = self.unit(state_BTD)
        else:  # the last step has all the weight
            unit_BT = torch.zeros_like(pondering.total_X)
        weight_BT, pondering = pondering.halt(unit_BT, is_last, self.epsilon)
        mean_BTD = mean_BTD + spread(weight_BT, state_BTD) * state_BTD
        next_BTD = torch.where(pondering.running_X[..., None], state_BTD, mean_BTD)
        return next_BTD, mean_BTD, pondering, weight_BT


class UniversalTransformerEncoder(Encoder):
    """Dehghani et al. 2019: one encoder layer of the Transformer, applied again and again with shared weights.

    Each step adds position and time-step code, and each position halts when its halting units add up to 1 - ε.
    The diagnostic ``ponder`` is the number of steps of a word.
    """

    Options = UniversalOptions

    def __init__(self, options: UniversalOptions, parts: EncoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding = parts.embedding
        self.positions = TimedPositions(width, options)
        self.layer = EncoderLayer(width, options)
        self.halting = UniversalHalting(width, options)
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.max_steps, self.time_penalty = options.max_steps, options.time_penalty
        self.memory_sizes, self.final_size = (width,), width

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        bias = padding_bias(mask_BS)
        x_BSD = self.dropout(self.embedding(source_BS))
        mean_BSD = torch.zeros_like(x_BSD)
        pondering = HaltingState.start(mask_BS, x_BSD)
        for step in range(self.max_steps):
            state_BSD = self.layer(self.positions(x_BSD, step), bias)
            x_BSD, mean_BSD, pondering, _ = self.halting(state_BSD, mean_BSD, pondering, step)
            if not pondering.running_X.any():
                break
        memory = Memory(self.norm(mean_BSD), mask_BS)
        if self.halting.unit is None:
            return EncoderOutput((memory,))
        ponder = self.time_penalty * pondering.cost_X.sum()
        return EncoderOutput((memory,), (), {"ponder": ponder}, {"ponder": pondering.steps_X})


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
        self.halting = UniversalHalting(width, options)
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.max_steps, self.time_penalty = options.max_steps, options.time_penalty
        self.heads = tuple(Head(head) for head in range(options.num_heads))

    def start(self, encoded: EncoderOutput) -> TransformerState:
        return TransformerState.start(encoded.memories[0], [self.layer.cross_attention], self.max_steps)

    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor, need_weights: bool, is_last: bool
    ) -> tuple[DecoderOutput, tuple[Cache, ...]]:
        cross_bias, (cross,) = padding_bias(state.memory.mask_BS), state.memory.keys
        token_BQ = token_NT.reshape(len(cross_bias), -1)
        x_BQD = self.dropout(self.embedding(token_BQ))
        mean_BQD, mean_weights = torch.zeros_like(x_BQD), None
        pondering = HaltingState.start(torch.ones_like(token_BQ, dtype=torch.bool), x_BQD)
        caches: list[Cache] = []
        for step, cache in enumerate(state.caches):
            x_NTD = x_BQD.view(*token_NT.shape, -1)
            timed_BQD = self.positions(x_NTD, step, state.num_tokens).view_as(x_BQD)
            if not pondering.running_X.any():
                if is_last:
                    break
                # Later tokens may take this step, and will see these.
                caches.append(cache.append(self.layer.self_attention.project(self.layer.around_self.before(timed_BQD))))
                continue
            layer = self.layer(timed_BQD, cache, self_bias, cross, cross_bias, need_weights)
            state_BQD, cache, weights_BHQS = layer
            caches.append(cache)
            x_BQD, mean_BQD, pondering, weight_BQ = self.halting(state_BQD, mean_BQD, pondering, step)
            if need_weights:
                weighted = weight_BQ[:, None, :, None].to(weights_BHQS.dtype) * weights_BHQS
                mean_weights = weighted if mean_weights is None else mean_weights + weighted
        output = DecoderOutput(self.norm(mean_BQD), mean_weights)
        if self.halting.unit is not None:
            real_BQ = self.embedding.is_real(token_BQ)
            output.aux_losses["ponder"] = self.time_penalty * (pondering.cost_X * real_BQ).sum()
            output.diagnostics["ponder"] = pondering.steps_X * real_BQ
        return output, tuple(caches)
