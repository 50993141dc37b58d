"""The decoder of the Universal Transformer: one pass over whole sentences, or cached step by step."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from nmt.models.act import HaltingState
from nmt.models.attention.cache import Cache
from nmt.models.attention.multihead import causal_bias, mask_bias, padding_bias
from nmt.models.decoders.transformer import DecoderLayer, TransformerState, with_own_slot
from nmt.models.dropout import Dropout
from nmt.models.encoders.universal_transformer import TimedPositions, UniversalHalting, UniversalOptions
from nmt.models.interfaces import Decoder, DecoderOutput, DecoderParts, EncoderOutput, Memory


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
