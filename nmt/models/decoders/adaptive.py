"""Bahdanau's decoder with adaptive computation time."""

import torch
from torch import Tensor, nn

from nmt.models.cells import CellStack, CellState
from nmt.models.decoders.recurrent import AttentionalDecoderOptions, FirstState, RecurrentState
from nmt.models.dropout import Dropout
from nmt.models.halting import Parts, Ponder, Pondering, PonderOptions
from nmt.models.interfaces import Decoder, DecoderParts, Encoded, Memory, Unrolled


class AdaptiveDecoderOptions(AttentionalDecoderOptions, PonderOptions):
    """Options of the decoder ``type: act_recurrent``."""


class AdaptiveDecoder(Decoder):
    """Graves 2016 over the step of Bahdanau et al. 2015: look at the source, then move; as often as needed.

    c_t^n = Σ a_i h_i with a from s_t^{n-1}; s_t^n = cell([E y_{t-1}; c_t^n; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}.
    State, context and attention weights of the step are their means under the halting weights p_n, and the output
    layer reads tanh(W [s_t; c_t; E y_{t-1}]). ``ponder`` is the figure of a token: the steps taken to say it.
    """

    Options = AdaptiveDecoderOptions
    head_names = ("attention",)

    def __init__(self, options: AdaptiveDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        size, words = options.hidden_size, parts.embedding.size
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = FirstState(options, parts)
        self.attention = parts.make_attention(options.attention, size, parts.memory_size)
        context = self.attention.context_size(parts.memory_size)
        self.cells = CellStack(
            options.cell, (words, context, 1), size, options.num_layers, options.dropout, options.residual
        )
        self.ponder = Ponder(size, options)
        self.time_penalty = options.time_penalty
        self.readout = nn.Linear(size + context + words, words)
        self.dropout = Dropout(options.dropout)

    def start(self, encoded: Encoded) -> RecurrentState:
        return RecurrentState(self.first_state(encoded), self.attention.prepare(encoded.memories[0]))

    def _recur(self, gates_NG: Tensor, cells: CellState, memory: Memory) -> tuple[CellState, Tensor, Tensor, Pondering]:
        """One token: the next state, context [N, D], attention weights [N, S] and what it took."""
        flag_1G = self.cells.project(gates_NG.new_ones(1, 1), part=2)
        num_states = self.cells.num_states

        def step(parts: Parts, is_first: bool) -> Parts:
            query_BKD = torch.unflatten(self.cells.output(parts[:num_states]), 0, (memory.mask_BS.shape[0], -1))
            context_BKD, weights_BKS = self.attention(query_BKD, memory)
            context_ND = context_BKD.flatten(0, 1)
            gates = gates_NG + self.cells.project(context_ND, part=1)
            moved: CellState = self.cells(gates + flag_1G if is_first else gates, parts[:num_states])
            return (*moved, context_ND, weights_BKS.flatten(0, 1))

        (*state, context_ND, weights_NS), pondering = self.ponder(step, cells)
        return tuple(state), context_ND, weights_NS, pondering

    def _features(self, hidden: Tensor, context: Tensor, words: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.readout(torch.cat((hidden, context, words), dim=-1)).tanh())
        return out

    def advance(
        self, token_N: Tensor, state: RecurrentState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, RecurrentState]:
        assert state.memory is not None
        words_NE = self.dropout(self.embedding(token_N))
        cells, context_ND, weights_NS, _ = self._recur(self.cells.project(words_NE), state.cells, state.memory)
        features_ND = self._features(self.cells.output(cells), context_ND, words_NE)
        return features_ND, weights_NS[:, None] if need_weights else None, RecurrentState(cells, state.memory)

    def unroll(self, target_BT: Tensor, encoded: Encoded, need_weights: bool = False) -> Unrolled:
        state = self.start(encoded)
        assert state.memory is not None
        cells = state.cells
        words_TBE = self.dropout(self.embedding(target_BT.t()))
        hidden, contexts, weights, thoughts = [], [], [], []
        for gates_BG in self.cells.project(words_TBE).unbind(0):
            cells, context_BD, weights_BS, pondering = self._recur(gates_BG, cells, state.memory)
            hidden.append(self.cells.output(cells))
            contexts.append(context_BD)
            weights.append(weights_BS)
            thoughts.append(pondering)
        features_TBD = self._features(torch.stack(hidden), torch.stack(contexts), words_TBE)
        real_BT = self.embedding.is_real(target_BT)
        cost_BT = torch.stack([pondering.cost_X for pondering in thoughts], dim=1)
        return Unrolled(
            features_TBD.transpose(0, 1),
            torch.stack(weights, dim=1)[:, None] if need_weights else None,
            {"ponder": self.time_penalty * (cost_BT * real_BT).sum()},
            {"ponder": torch.stack([pondering.steps_X for pondering in thoughts], dim=1) * real_BT},
        )
