"""The Universal Transformer (Dehghani et al. 2019): one layer applied again and again, as often as a position needs."""

from collections.abc import Callable
from dataclasses import replace
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
    """Applies a layer step by step, until each position halts.

    While a position runs, the others see its latest state. When it has halted, they see the mean of its states under
    the halting weights, which is also its result. Without ``adaptive``, the last step has all the weight.
    """

    def __init__(self, width: int, options: UniversalOptions) -> None:
        super().__init__()
        self.unit = HaltingUnit(width, options) if options.adaptive else None
        self.max_steps, self.epsilon = options.max_steps, options.epsilon

    def forward(
        self, layer: Callable[[Tensor, int], Tensor], x_BTD: Tensor, running_BT: Tensor
    ) -> tuple[Tensor, Tensor, HaltingState, list[Tensor]]:
        """The mean state of each position, its latest state, its halting, and the weights p_n of the steps taken.

        Args:
            layer: from the latest states and the number of the step, counted from 0, to the next states.
            x_BTD: the states before the first step.
            running_BT: False at positions that take no steps, such as padding.
        """
        mean_BTD, halting, weights = torch.zeros_like(x_BTD), HaltingState.start(running_BT, x_BTD), []
        for step in range(self.max_steps):
            state_BTD = layer(x_BTD, step)
            unit_BT = self.unit(state_BTD) if self.unit is not None else torch.zeros_like(halting.total_X)
            weight_BT, halting = halting.halt(unit_BT, step == self.max_steps - 1, self.epsilon)
            mean_BTD = mean_BTD + spread(weight_BT, state_BTD) * state_BTD
            x_BTD = torch.where(halting.running_X[..., None], state_BTD, mean_BTD)
            weights.append(weight_BT)
            if not halting.running_X.any():
                break
        return mean_BTD, x_BTD, halting, weights


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
        self.time_penalty = options.time_penalty
        self.memory_sizes, self.final_size = (width,), width

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        bias = padding_bias(mask_BS)
        x_BSD = self.dropout(self.embedding(source_BS))
        mean_BSD, _, halting, _ = self.halting(
            lambda x, step: self.layer(self.positions(x, step), bias), x_BSD, mask_BS
        )
        memory = Memory(self.norm(mean_BSD), mask_BS)
        if self.halting.unit is None:
            return EncoderOutput((memory,))
        ponder = self.time_penalty * halting.cost_X.sum()
        return EncoderOutput((memory,), (), {"ponder": ponder}, {"ponder": halting.steps_X})


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
        self.time_penalty = options.time_penalty
        self.heads = tuple(Head(head) for head in range(options.num_heads))

    def start(self, encoded: EncoderOutput) -> TransformerState:
        return TransformerState.start(encoded.memories[0], [self.layer.cross_attention], self.halting.max_steps)

    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor, need_weights: bool, is_last: bool
    ) -> tuple[DecoderOutput, tuple[Cache, ...]]:
        cross_bias, (cross,) = padding_bias(state.memory.mask_BS), state.memory.keys
        token_BQ = token_NT.reshape(len(cross_bias), -1)
        caches: list[Cache] = []
        weights: list[Tensor] = []

        def timed(x_BQD: Tensor, step: int) -> Tensor:
            coded: Tensor = self.positions(x_BQD.view(*token_NT.shape, -1), step, state.num_tokens)
            return coded.view_as(x_BQD)

        def apply(x_BQD: Tensor, step: int) -> Tensor:
            read = timed(x_BQD, step), state.caches[step], self_bias, cross, cross_bias, need_weights
            state_BQD, cache, weights_BHQS = self.layer(*read)
            caches.append(cache)
            weights.append(weights_BHQS)
            return state_BQD  # type: ignore[no-any-return]

        everywhere = torch.ones_like(token_BQ, dtype=torch.bool)
        mean_BQD, x_BQD, halting, p_n = self.halting(apply, self.dropout(self.embedding(token_BQ)), everywhere)
        for step in range(len(caches), 0 if is_last else self.halting.max_steps):
            # Later tokens may take more steps, and will see these.
            y_BQD = self.layer.around_self.before(timed(x_BQD, step))
            caches.append(state.caches[step].append(self.layer.self_attention.project(y_BQD)))
        output = DecoderOutput(self.norm(mean_BQD))
        if need_weights:
            mean_weights = sum(p_BQ[:, None, :, None].to(w.dtype) * w for p_BQ, w in zip(p_n, weights, strict=True))
            output = replace(output, weights_BHTS=mean_weights)
        if self.halting.unit is not None:
            real_BQ = self.embedding.is_real(token_BQ)
            output.aux_losses["ponder"] = self.time_penalty * (halting.cost_X * real_BQ).sum()
            output.diagnostics["ponder"] = halting.steps_X * real_BQ
        return output, tuple(caches)
