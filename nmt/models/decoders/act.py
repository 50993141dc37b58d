"""Bahdanau's decoder with adaptive computation time."""

import torch
from torch import Tensor

from nmt.models.act import HaltingState, Parts, Ponder, PonderOptions
from nmt.models.cells import CellState
from nmt.models.decoders.bahdanau import BahdanauDecoder
from nmt.models.decoders.recurrent import AttentionalDecoderOptions
from nmt.models.interfaces import DecoderOutput, DecoderParts, EncoderOutput, Memory


class AdaptiveDecoderOptions(AttentionalDecoderOptions, PonderOptions):
    """Options of the decoder ``type: act_rnn``."""


class ActDecoder(BahdanauDecoder):
    """Graves 2016 over the step of Bahdanau et al. 2015: look at the source, then move; as often as needed.

    c_t^n = Σ a_i h_i with a from s_t^{n-1}; s_t^n = cell([E y_{t-1}; c_t^n; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}.
    State, context and attention weights of the step are their means under the halting weights p_n, and the output
    layer reads tanh(W [s_t; c_t; E y_{t-1}]). ``ponder`` is the figure of a token: the steps taken to say it.
    """

    Options = AdaptiveDecoderOptions

    def __init__(self, options: AdaptiveDecoderOptions, parts: DecoderParts) -> None:
        super().__init__(options, parts, extra_inputs=(1,))
        self.ponder = Ponder(options.hidden_size, options, options.cell)
        self.time_penalty = options.time_penalty
        self.has_aux_losses = options.time_penalty > 0

    def _recur(
        self, gates_NG: Tensor, cells: CellState, memory: Memory
    ) -> tuple[Tensor, Tensor, CellState, HaltingState]:
        """As in Bahdanau's decoder, with how long the token took."""
        flag_1G = self.cells.project(gates_NG.new_ones(1, 1), part=2)
        num_states = self.cells.num_states

        def step(parts: Parts, is_first: bool) -> Parts:
            gates = gates_NG + flag_1G if is_first else gates_NG
            context_ND, weights_NS, moved, _ = super(ActDecoder, self)._recur(gates, parts[:num_states], memory)
            return (*moved, context_ND, weights_NS)

        (*state, context_ND, weights_NS), pondering = self.ponder(step, cells)
        return context_ND, weights_NS, tuple(state), pondering

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        unrolled, thoughts = self._unroll(target_BT, encoded, need_weights)
        real_BT = self.embedding.is_real(target_BT)
        cost_BT = torch.stack([pondering.cost_X for pondering in thoughts], dim=1)
        steps_BT = torch.stack([pondering.steps_X for pondering in thoughts], dim=1)
        unrolled.aux_losses["ponder"] = self.time_penalty * (cost_BT * real_BT).sum()
        unrolled.figures["ponder"] = steps_BT * real_BT
        return unrolled
