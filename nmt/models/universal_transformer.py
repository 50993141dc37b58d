"""The Universal Transformer (Dehghani et al. 2019): one layer applied again and again, as often as a position needs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.act import HaltingState, HaltingUnit, PonderOptions, spread
from nmt.models.interfaces import Decoder, DecoderOutput, DecoderParts, Encoder, EncoderOutput, Memory
from nmt.models.layers import Dropout, Embedding, Positions, length_mask, sinusoids
from nmt.models.multihead import Cache, causal_bias, mask_bias, padding_bias
from nmt.models.transformer import BlockOptions, DecoderLayer, EncoderLayer, TransformerState, with_own_slot


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
    ``ponder`` is the figure of a word: its steps.
    """

    Options = UniversalOptions

    def __init__(self, options: UniversalOptions, embedding: Embedding) -> None:
        super().__init__()
        width = embedding.size
        self.embedding = embedding
        self.positions = TimedPositions(width, options)
        self.layer = EncoderLayer(width, options)
        self.halting = UniversalHalting(width, options)
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.max_steps, self.time_penalty = options.max_steps, options.time_penalty
        self.output_size = self.final_size = width

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


class UniversalTransformerDecoder(Decoder):
    """Dehghani et al. 2019: one decoder layer of the Transformer, applied again and again with shared weights.

    Token by token there is a cache for each step: a token that has halted is seen at all later steps as the mean
    state it ended with, so its keys are needed there too. A head's attention to the source is the mean of its
    steps under the halting weights. ``ponder`` is the figure of a token: the steps taken to say it.
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
        self.has_aux_losses = options.adaptive and options.time_penalty > 0
        self.head_names = tuple(f"head {head + 1}" for head in range(options.num_heads))

    def _project(self, memory: Memory) -> Memory:
        """The memory with the keys and values of attention; nobody asks for its own values any more."""
        keys, values = self.layer.cross_attention.project(memory.values_BSD)
        return Memory(memory.values_BSD[:, :, :0], memory.mask_BS, (keys.contiguous(), values.contiguous()))

    def start(self, encoded: EncoderOutput) -> TransformerState:
        memory = self._project(encoded.memories[0])
        no_ancestors = memory.mask_BS.new_empty(len(memory.mask_BS), 0)
        return TransformerState(memory, (Cache.empty(memory.keys),) * self.max_steps, no_ancestors, 0)

    def _run(
        self,
        x_BQD: Tensor,
        memory: Memory,
        caches: Sequence[Cache] | None,
        self_bias: Tensor,
        need_weights: bool,
        num_tokens: int = 0,
    ) -> tuple[Tensor, tuple[Cache, ...], Tensor | None, HaltingState]:
        """New tokens through as many steps as they need.

        Args:
            x_BQD: embedded: the T tokens of a sentence, or the next one of its K hypotheses, behind ``num_tokens``.
            caches: of each step; None where all tokens are here.

        Returns:
            Features, the longer caches, mean weights [B, H, Q, S] if asked for, and how long each token took.
        """
        cross_bias = padding_bias(memory.mask_BS)
        x_BQD, mean_BQD, mean_weights = self.dropout(x_BQD), torch.zeros_like(x_BQD), None
        pondering = HaltingState.start(torch.ones_like(x_BQD[..., 0], dtype=torch.bool), x_BQD)
        longer: list[Cache] = []
        for step in range(self.max_steps):
            seen_BQD = self._coded(x_BQD, step, num_tokens, caches is None)
            cache = caches[step] if caches is not None else None
            if not pondering.running_X.any():
                if cache is None:
                    break
                # Later tokens may go on here, and will look at this one.
                longer.append(cache.append(self.layer.self_attention.project(self.layer.around_self.before(seen_BQD))))
                continue
            state_BQD, grown, weights = self.layer(seen_BQD, cache, self_bias, memory.keys, cross_bias, need_weights)
            if grown is not None:
                longer.append(grown)
            x_BQD, mean_BQD, pondering, weight_BQ = self.halting(state_BQD, mean_BQD, pondering, step)
            if need_weights:
                weighted = weight_BQ[:, None, :, None].to(weights.dtype) * weights
                mean_weights = weighted if mean_weights is None else mean_weights + weighted
        return self.norm(mean_BQD), tuple(longer), mean_weights, pondering

    def _coded(self, x_BQD: Tensor, step: int, num_tokens: int, is_sentence: bool) -> Tensor:
        """With the code of the step and of the positions: one after another, or all at ``num_tokens``."""
        if is_sentence:
            coded_BQD: Tensor = self.positions(x_BQD, step)
            return coded_BQD
        return self.positions(x_BQD.flatten(0, 1)[:, None], step, num_tokens).view_as(x_BQD)  # type: ignore[no-any-return]

    def advance(
        self, token_N: Tensor, state: TransformerState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, TransformerState]:
        num_sentences = len(state.memory.mask_BS)
        ancestor_NC = with_own_slot(state.ancestor_NC, num_sentences)
        bias = mask_bias(ancestor_NC).view(num_sentences, 1, -1, ancestor_NC.shape[1])
        x_BKD = self.embedding(token_N.view(num_sentences, -1))
        x_BKD, caches, weights_BHKS, _ = self._run(
            x_BKD, state.memory, state.caches, bias, need_weights, state.num_tokens
        )
        weights_NHS = weights_BHKS.transpose(1, 2).flatten(0, 1) if weights_BHKS is not None else None
        state = replace(state, caches=caches, ancestor_NC=ancestor_NC, num_tokens=state.num_tokens + 1)
        return x_BKD.flatten(0, 1), weights_NHS, state

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        memory, bias = self._project(encoded.memories[0]), causal_bias(target_BT.shape[1], target_BT.device)
        features_BTD, _, weights_BHTS, pondering = self._run(
            self.embedding(target_BT), memory, None, bias, need_weights
        )
        if self.halting.unit is None:
            return DecoderOutput(features_BTD, weights_BHTS)
        real_BT = self.embedding.is_real(target_BT)
        ponder = self.time_penalty * (pondering.cost_X * real_BT).sum()
        return DecoderOutput(features_BTD, weights_BHTS, {"ponder": ponder}, {"ponder": pondering.steps_X * real_BT})
