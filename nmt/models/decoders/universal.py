"""The decoder of the Universal Transformer: one pass over whole sentences, or cached step by step."""

import torch
from torch import Tensor, nn

from nmt.models.attention.multihead import causal_bias, padding_bias
from nmt.models.decoders.transformer import DecoderLayer, KeysValues, TransformerState
from nmt.models.dropout import Dropout
from nmt.models.encoders.universal import TimedPositions, UniversalHalting, UniversalOptions
from nmt.models.halting import Pondering
from nmt.models.interfaces import Decoder, DecoderParts, Encoded, Memory, Unrolled


class UniversalDecoder(Decoder):
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
        self.head_names = tuple(f"head {head + 1}" for head in range(options.num_heads))

    def start(self, encoded: Encoded) -> TransformerState:
        memory = encoded.memories[0]
        keys = self.layer.cross_attention.project(memory.values_BSD)
        empty = keys[0][:, :, :0]
        return TransformerState(
            Memory(memory.values_BSD[:, :, :0], memory.mask_BS, keys), ((empty, empty),) * self.max_steps, 0
        )

    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None, list[KeysValues], Pondering]:
        """New tokens through all steps: features, mean weights [B, H, Q, S], caches of the steps, what it took.

        The caches end where all tokens have halted.
        """
        cross_bias = padding_bias(state.memory.mask_BS)
        x_NTD = self.dropout(self.embedding(token_NT))
        mean_NTD, weights = torch.zeros_like(x_NTD), None
        pondering = Pondering.start(torch.ones_like(token_NT, dtype=torch.bool), x_NTD)
        caches: list[KeysValues] = []
        for step in range(self.max_steps):
            state_NTD, keys_values, step_weights = self.layer(
                self.positions(x_NTD, step, state.num_tokens),
                state.caches[step] if state.num_tokens else None,
                self_bias,
                state.memory.keys,
                cross_bias,
                need_weights,
            )
            caches.append(keys_values)
            x_NTD, mean_NTD, pondering, weight_NT = self.halting(state_NTD, mean_NTD, pondering, step)
            if need_weights:
                # Rows and positions of a sentence are the queries Q.
                weighted = weight_NT.reshape(len(step_weights), 1, -1, 1).to(step_weights.dtype) * step_weights
                weights = weighted if weights is None else weights + weighted
            if not pondering.running_X.any():
                break
        return mean_NTD, weights, caches, pondering

    def advance(
        self, token_N: Tensor, state: TransformerState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, TransformerState]:
        mean_N1D, weights, caches, _ = self._run(token_N[:, None], state, None, need_weights)
        for step in range(len(caches), self.max_steps):
            seen_N1D = self.layer.around_self.before(self.positions(mean_N1D, step, state.num_tokens))
            caches.append(self.layer.extend(state.caches[step] if state.num_tokens else None, seen_N1D))
        next_state = TransformerState(state.memory, tuple(caches), state.num_tokens + 1)
        # [B, H, K, S] -> [N, H, S]
        weights_NHS = None if weights is None else weights.transpose(1, 2).flatten(0, 1)
        return self.norm(mean_N1D)[:, 0], weights_NHS, next_state

    def unroll(self, target_BT: Tensor, encoded: Encoded, need_weights: bool = False) -> Unrolled:
        bias = causal_bias(target_BT.shape[1], target_BT.device)
        mean_BTD, weights_BHTS, _, pondering = self._run(target_BT, self.start(encoded), bias, need_weights)
        if self.halting.unit is None:
            return Unrolled(self.norm(mean_BTD), weights_BHTS)
        real_BT = self.embedding.is_real(target_BT)
        ponder = self.time_penalty * (pondering.cost_X * real_BT).sum()
        figures = {"ponder": pondering.steps_X * real_BT}
        return Unrolled(self.norm(mean_BTD), weights_BHTS, {"ponder": ponder}, figures)
