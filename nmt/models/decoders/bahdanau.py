"""Bahdanau's decoder: attention comes before the cell, and its context enters the cell."""

from typing import Any

import torch
from torch import Tensor, nn

from nmt.models.cells import CellStack, CellState
from nmt.models.decoders.recurrent import AttentionalDecoderOptions, FirstState, RecurrentState
from nmt.models.dropout import Dropout
from nmt.models.interfaces import Decoder, DecoderOutput, DecoderParts, EncoderOutput, Memory


class BahdanauDecoder(Decoder):
    """Bahdanau et al. 2015: c_t = Σ a_ti h_i with a_t from s_{t-1}; s_t = cell([E y_{t-1}; c_t], s_{t-1}).

    The output layer reads tanh(W [s_t; c_t; E y_{t-1}]). What depends on the target words alone, and the output,
    is computed for the whole sentence outside the loop.
    """

    Options = AttentionalDecoderOptions
    head_names = ("attention",)

    def __init__(
        self, options: AttentionalDecoderOptions, parts: DecoderParts, extra_inputs: tuple[int, ...] = ()
    ) -> None:
        """``extra_inputs``: widths of what the cell of a variant reads beside word and context."""
        super().__init__()
        size, words = options.hidden_size, parts.embedding.size
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = FirstState(options, parts)
        self.attention = parts.make_attention(options.attention, size, parts.memory_size)
        context = self.attention.context_size(parts.memory_size)
        self.cells = CellStack(
            options.cell, (words, context, *extra_inputs), size, options.num_layers, options.dropout, options.residual
        )
        self.readout = nn.Linear(size + context + words, words)
        self.dropout = Dropout(options.dropout)

    def start(self, encoded: EncoderOutput) -> RecurrentState:
        return RecurrentState(self.first_state(encoded), self.attention.prepare(encoded.memories[0]))

    def _recur(self, gates_NG: Tensor, cells: CellState, memory: Memory) -> tuple[Tensor, Tensor, CellState, Any]:
        """One step from the words' share of the gates: context [N, D], weights [N, S], the next state, and whatever a
        variant has to tell of the step."""
        query_BKD = torch.unflatten(self.cells.output(cells), 0, (memory.mask_BS.shape[0], -1))
        context_BKD, weights_BKS = self.attention(query_BKD, memory)
        context_ND = context_BKD.flatten(0, 1)
        cells = self.cells(gates_NG + self.cells.project(context_ND, part=1), cells)
        return context_ND, weights_BKS.flatten(0, 1), cells, None

    def _features(self, hidden: Tensor, context: Tensor, words: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.readout(torch.cat((hidden, context, words), dim=-1)).tanh())
        return out

    def advance(
        self, token_N: Tensor, state: RecurrentState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, RecurrentState]:
        assert state.memory is not None
        words_NE = self.dropout(self.embedding(token_N))
        context_ND, weights_NS, cells, _ = self._recur(self.cells.project(words_NE), state.cells, state.memory)
        features_ND = self._features(self.cells.output(cells), context_ND, words_NE)
        return features_ND, weights_NS[:, None] if need_weights else None, RecurrentState(cells, state.memory)

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        return self._unroll(target_BT, encoded, need_weights)[0]

    def _unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool) -> tuple[DecoderOutput, list[Any]]:
        """Whole sentences, and what a variant had to tell of each step."""
        state = self.start(encoded)
        assert state.memory is not None
        cells = state.cells
        words_TBE = self.dropout(self.embedding(target_BT.t()))
        hidden, contexts, weights, told = [], [], [], []
        for gates_BG in self.cells.project(words_TBE).unbind(0):
            context_BD, weights_BS, cells, of_step = self._recur(gates_BG, cells, state.memory)
            hidden.append(self.cells.output(cells))
            contexts.append(context_BD)
            weights.append(weights_BS)
            told.append(of_step)
        features_TBD = self._features(torch.stack(hidden), torch.stack(contexts), words_TBE)
        weights_BHTS = torch.stack(weights, dim=1)[:, None] if need_weights else None
        return DecoderOutput(features_TBD.transpose(0, 1), weights_BHTS), told
