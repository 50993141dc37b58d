"""Recurrent decoders with attention: Bahdanau's, where it comes before the cell, and Luong's, where it comes after."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attention import AttentionField
from nmt.models.cells import CellState
from nmt.models.interfaces import Decoder, DecoderOutput, DecoderParts, EncoderOutput, Memory
from nmt.models.layers import Dropout
from nmt.models.recurrence import CellStack, Recurrence
from nmt.models.recurrent import FirstState, RecurrentDecoderOptions, RecurrentState


class AttentionalDecoderOptions(RecurrentDecoderOptions):
    """Options of a recurrent decoder with attention."""

    attention: AttentionField = Field({"type": "additive"}, description="score function and its options")


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


class LuongDecoderOptions(AttentionalDecoderOptions):
    """Options of ``type: luong``."""

    input_feeding: bool = Field(False, description="the attentional vector of a step enters the next one's cell")


class LuongDecoder(Decoder):
    """Luong et al. 2015, global attention: h_t = cell(E y_{t-1}, h_{t-1}), c_t = Σ a_ti h_i with a_t from h_t,
    and the output layer reads the attentional vector h~_t = tanh(W [c_t; h_t]).

    Without input feeding the recurrence needs no attention, so a whole sentence is one call of the recurrent
    kernel and one batched attention. With it, the cell reads [E y_{t-1}; h~_{t-1}] in a loop.
    """

    Options = LuongDecoderOptions
    head_names = ("attention",)

    def __init__(self, options: LuongDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        size, words = options.hidden_size, parts.embedding.size
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = FirstState(options, parts)
        self.attention = parts.make_attention(options.attention, size, parts.memory_size)
        self.input_feeding = options.input_feeding
        depth = options.num_layers, options.dropout
        if self.input_feeding:
            self.cells = CellStack(options.cell, (words, words), size, *depth, options.residual)
        else:
            self.recurrence = Recurrence(options.cell, words, size, *depth, residual=options.residual)
        self.attentional = nn.Linear(self.attention.context_size(parts.memory_size) + size, words)
        self.dropout = Dropout(options.dropout)

    def start(self, encoded: EncoderOutput) -> RecurrentState:
        memory = self.attention.prepare(encoded.memories[0])
        feed_BD = None
        if self.input_feeding:
            feed_BD = memory.values_BSD.new_zeros(len(memory.values_BSD), self.attentional.out_features)
        return RecurrentState(self.first_state(encoded), memory, feed_BD)

    def _attend(self, hidden_BQD: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attentional vectors [B, Q, D] and weights [B, Q, S] of top-layer states."""
        context_BQD, weights_BQS = self.attention(hidden_BQD, memory)
        return self.attentional(torch.cat((context_BQD, hidden_BQD), dim=-1)).tanh(), weights_BQS

    def _fed_step(self, gates_NG: Tensor, state: RecurrentState) -> tuple[Tensor, Tensor, RecurrentState]:
        """With input feeding: attentional vectors [N, D], weights [N, S] and the next state."""
        assert state.memory is not None
        assert state.feed_ND is not None
        cells = self.cells(gates_NG + self.cells.project(state.feed_ND, part=1), state.cells)
        hidden_BKD = torch.unflatten(self.cells.output(cells), 0, (state.memory.mask_BS.shape[0], -1))
        feed_BKD, weights_BKS = self._attend(hidden_BKD, state.memory)
        feed_ND = self.dropout(feed_BKD.flatten(0, 1))
        return feed_ND, weights_BKS.flatten(0, 1), RecurrentState(cells, state.memory, feed_ND)

    def advance(
        self, token_N: Tensor, state: RecurrentState, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None, RecurrentState]:
        words_NE = self.dropout(self.embedding(token_N))
        if self.input_feeding:
            features_ND, weights_NS, state = self._fed_step(self.cells.project(words_NE), state)
        else:
            assert state.memory is not None
            hidden_N1D, cells = self.recurrence(words_NE[:, None], state.cells)
            hidden_BKD = torch.unflatten(hidden_N1D[:, 0], 0, (state.memory.mask_BS.shape[0], -1))
            features_BKD, weights_BKS = self._attend(hidden_BKD, state.memory)
            features_ND, weights_NS = self.dropout(features_BKD.flatten(0, 1)), weights_BKS.flatten(0, 1)
            state = RecurrentState(cells, state.memory)
        return features_ND, weights_NS[:, None] if need_weights else None, state

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        state = self.start(encoded)
        assert state.memory is not None
        if not self.input_feeding:
            hidden_BTD, _ = self.recurrence(self.dropout(self.embedding(target_BT)), state.cells)
            features_BTD, weights_BTS = self._attend(hidden_BTD, state.memory)
            return DecoderOutput(self.dropout(features_BTD), weights_BTS[:, None] if need_weights else None)
        features, weights = [], []
        for gates_BG in self.cells.project(self.dropout(self.embedding(target_BT.t()))).unbind(0):
            features_BD, weights_BS, state = self._fed_step(gates_BG, state)
            features.append(features_BD)
            weights.append(weights_BS)
        weights_BHTS = torch.stack(weights, dim=1)[:, None] if need_weights else None
        return DecoderOutput(torch.stack(features, dim=1), weights_BHTS)
