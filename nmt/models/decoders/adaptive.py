"""Bahdanau's decoder with adaptive computation time."""

import torch
from torch import Tensor

from nmt.models.cells import CellState
from nmt.models.decoders.bahdanau import BahdanauDecoder
from nmt.models.decoders.recurrent import AttentionalDecoderOptions
from nmt.models.halting import Parts, Ponder, Pondering, PonderOptions
from nmt.models.interfaces import DecoderParts, Encoded, Memory, Unrolled


class AdaptiveDecoderOptions(AttentionalDecoderOptions, PonderOptions):
    """Options of the decoder ``type: act_recurrent``."""


class AdaptiveDecoder(BahdanauDecoder):
    """Graves 2016 over the step of Bahdanau et al. 2015: look at the source, then move; as often as needed.

    c_t^n = Σ a_i h_i with a from s_t^{n-1}; s_t^n = cell([E y_{t-1}; c_t^n; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}.
    State, context and attention weights of the step are their means under the halting weights p_n, and the output
    layer reads tanh(W [s_t; c_t; E y_{t-1}]). ``ponder`` is the figure of a token: the steps taken to say it.
    """

    Options = AdaptiveDecoderOptions

    def __init__(self, options: AdaptiveDecoderOptions, parts: DecoderParts) -> None:
        super().__init__(options, parts, extra_inputs=(1,))
        self.ponder = Ponder(options.hidden_size, options)
        self.time_penalty = options.time_penalty

    def _think(self, gates_NG: Tensor, cells: CellState, memory: Memory) -> tuple[Tensor, Tensor, CellState, Pondering]:
        """One token: context [N, D], attention weights [N, S], the next state, and what it took."""
        flag_1G = self.cells.project(gates_NG.new_ones(1, 1), part=2)
        num_states = self.cells.num_states

        def step(parts: Parts, is_first: bool) -> Parts:
            gates = gates_NG + flag_1G if is_first else gates_NG
            context_ND, weights_NS, moved = super(AdaptiveDecoder, self)._recur(gates, parts[:num_states], memory)
            return (*moved, context_ND, weights_NS)

        (*state, context_ND, weights_NS), pondering = self.ponder(step, cells)
        return context_ND, weights_NS, tuple(state), pondering

    def _recur(self, gates_NG: Tensor, cells: CellState, memory: Memory) -> tuple[Tensor, Tensor, CellState]:
        return self._think(gates_NG, cells, memory)[:3]

    def unroll(self, target_BT: Tensor, encoded: Encoded, need_weights: bool = False) -> Unrolled:
        state = self.start(encoded)
        assert state.memory is not None
        cells = state.cells
        words_TBE = self.dropout(self.embedding(target_BT.t()))
        hidden, contexts, weights, thoughts = [], [], [], []
        for gates_BG in self.cells.project(words_TBE).unbind(0):
            context_BD, weights_BS, cells, pondering = self._think(gates_BG, cells, state.memory)
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
