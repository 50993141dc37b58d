"""The recurrent encoder and the recurrent decoders: the vanilla seq2seq, Bahdanau's, Luong's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attention import AttentionField
from nmt.models.cells import CELLS, CellState
from nmt.models.contracts import (
    SINGLE_HEAD,
    Decoder,
    DecoderOutput,
    DecoderParts,
    Encoder,
    EncoderOutput,
    EncoderParts,
    Memory,
    State,
)
from nmt.models.layers import Dropout, length_mask, reverse_within
from nmt.models.loops import step_layer, time_loop
from nmt.models.networks.recurrence import CellStack, LearnedState, Recurrence, StackOptions


class RecurrentEncoder(Encoder):
    """Annotations h_i for each source word, [forward; backward] where bidirectional (Schuster & Paliwal 1997).

    ``final`` is the state of each layer after the last word in reading order, forward and backward side by side.
    """

    class Options(StackOptions):
        bidirectional: bool = Field(True, description="read from both ends")
        initial_state: Literal["zero", "learned"] = Field("zero", description="first state: zeros, or parameters")
        reverse: bool = Field(False, description="read the source from its end (Sutskever et al. 2014)")
        attend_embeddings: bool = Field(
            False, description="attention reads the embedding of each word beside its annotation (Kuang et al. 2018)"
        )
        truncation: int | None = Field(
            None, ge=1, description="maximum number of source words that gradients go back through; null: all"
        )

    def __init__(self, options: Options, parts: EncoderParts) -> None:
        super().__init__()
        self.embedding = parts.embedding
        self.recurrence = Recurrence(options, self.embedding.size, options.bidirectional, options.truncation)
        is_learned = options.initial_state == "learned"
        self.first_state = LearnedState(options, self.recurrence.output_size) if is_learned else None
        self.dropout = Dropout(options.dropout)
        self.reverse, self.attend_embeddings = options.reverse, options.attend_embeddings
        self.final_size = self.recurrence.output_size
        self.memory_sizes = (self.final_size + options.attend_embeddings * self.embedding.size,)

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        words_BSE = self.dropout(self.embedding(source_BS))
        x_BSE = reverse_within(words_BSE, source_length_B) if self.reverse else words_BSE
        start = self.first_state(source_BS.shape[0]) if self.first_state is not None else None
        annotations_BSD, final = self.recurrence(x_BSE, start, source_length_B)
        if self.reverse:
            annotations_BSD = reverse_within(annotations_BSD, source_length_B)
        memory_BSD = self.dropout(annotations_BSD)
        if self.attend_embeddings:
            memory_BSD = torch.cat((memory_BSD, words_BSE), dim=-1)
        return EncoderOutput((Memory(memory_BSD, mask_BS),), final[: self.recurrence.num_states])


class RecurrentDecoderOptions(StackOptions):
    """Options of every recurrent decoder; those of ``type: recurrent``, the vanilla seq2seq."""

    bridge: Literal["dense", "copy", "zero", "learned"] = Field(
        "dense", description="first state: tanh(W · encoder's last state), that state itself, zeros, or parameters"
    )


@dataclass(frozen=True)
class RecurrentState(State):
    """State of a recurrent decoder."""

    cells: CellState  # each part [N, L, D]


class Bridge(nn.Module):
    """The decoder's first state, as the option ``bridge`` chooses.

    ``dense`` (Bahdanau et al. 2015, appendix A.2.2) has a W for each part of the state, and starts from the mean
    annotation where the encoder has no last state; ``copy`` (Sutskever et al. 2014) needs the same width on both sides.
    Layers are matched from the top: of a deeper encoder the upper layers count, and a shallower one gives its last
    layer to the rest.
    """

    def __init__(self, options: RecurrentDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        self.kind = options.bridge
        self.num_layers, self.size = options.num_layers, options.hidden_size
        self.cell, _ = CELLS.choose(options.cell, "cell")
        self.num_states = self.cell.num_states
        if self.kind == "copy" and parts.final_size != self.size:
            raise ValueError(
                f"bridge: copy needs hidden_size {parts.final_size}, the width of the encoder's last state, "
                f"not {self.size}"
            )
        self.learned = LearnedState(options, self.size) if self.kind == "learned" else None
        if self.kind == "dense":
            self.dense = nn.ModuleList(nn.Linear(parts.final_size, self.size) for _ in range(self.num_states))

    def forward(self, encoded: EncoderOutput) -> CellState:
        memory = encoded.memories[0]
        num_rows, dtype = memory.mask_BS.shape[0], self.cell.state_dtype(memory.values_BSD.dtype)
        if self.learned is not None:
            return tuple(part.to(dtype) for part in self.learned(num_rows))
        if self.kind == "zero":
            zeros_NLD = memory.values_BSD.new_zeros(num_rows, self.num_layers, self.size, dtype=dtype)
            return (zeros_NLD,) * self.num_states
        final = encoded.final or (mean_annotation(memory)[:, None],)
        # An encoder with fewer state parts than the decoder gives its last one to the rest.
        parts = [final[min(i, len(final) - 1)] for i in range(self.num_states)]
        last = final[0].shape[1] - 1
        lowest = max(0, last + 1 - self.num_layers)
        layers = torch.arange(lowest, lowest + self.num_layers, device=final[0].device).clamp(max=last)
        parts = [part.index_select(1, layers) for part in parts]
        if self.kind == "dense":
            kind = memory.values_BSD.dtype  # the state of a cell can be wider
            parts = [dense(part.to(kind)).tanh() for dense, part in zip(self.dense, parts, strict=True)]
        return tuple(part.to(dtype) for part in parts)


def mean_annotation(memory: Memory) -> Tensor:
    """The mean of a memory's real positions. [B, D]"""
    mask_BS1 = memory.mask_BS[:, :, None].to(memory.values_BSD.dtype)
    return (memory.values_BSD * mask_BS1).sum(1) / mask_BS1.sum(1)


class RecurrentDecoder(Decoder):
    """Vanilla seq2seq (Sutskever et al. 2014): the encoder's last state is all the decoder gets. Without an encoder it
    is a recurrent language model (Mikolov et al. 2010)."""

    Options = RecurrentDecoderOptions
    has_fixed_state = True

    def __init__(self, options: RecurrentDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        reads_source = options.bridge in ("dense", "copy")
        if reads_source != bool(parts.memory_sizes):
            problem = "needs an encoder" if reads_source else "would keep the source from a decoder without attention"
            others = "zero or learned" if reads_source else "dense or copy"
            raise ValueError(f"bridge: {options.bridge} {problem}: choose {others}")
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = Bridge(options, parts)
        self.recurrence = Recurrence(options, parts.embedding.size)
        same = options.hidden_size == parts.embedding.size
        self.readout = nn.Identity() if same else nn.Linear(options.hidden_size, parts.embedding.size)
        self.dropout = Dropout(options.dropout)

    def start(self, encoded: EncoderOutput) -> RecurrentState:
        return RecurrentState(self.first_state(encoded))

    def advance(
        self, token_NT: Tensor, state: RecurrentState, need_weights: bool = False
    ) -> tuple[DecoderOutput, RecurrentState]:
        hidden_NTD, cells = self.recurrence(self.dropout(self.embedding(token_NT)), state.cells)
        return DecoderOutput(self.dropout(self.readout(hidden_NTD))), RecurrentState(cells)


class AttentionalDecoderOptions(RecurrentDecoderOptions):
    """Options of a recurrent decoder with attention."""

    attention: AttentionField = Field({"type": "additive"}, description="score function and its options")


@dataclass(frozen=True)
class AttentionalState(RecurrentState):
    """State of a recurrent decoder with attention."""

    memory: Memory
    feed_ND: Tensor | None = None  # Luong's attentional vector of the step before, for input feeding


class AttentionalDecoder(Decoder):
    """Parts of the recurrent decoders with one attention head."""

    heads = (SINGLE_HEAD,)
    has_fixed_state = True

    def __init__(self, options: AttentionalDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        self.embedding, self.output = parts.embedding, parts.output
        self.first_state = Bridge(options, parts)
        self.attention = parts.make_attention(options.attention, options.hidden_size, parts.memory_size)
        self.context_size = self.attention.context_size(parts.memory_size)
        self.dropout = Dropout(options.dropout)

    def start(self, encoded: EncoderOutput) -> AttentionalState:
        return AttentionalState(self.first_state(encoded), self.attention.prepare(encoded.memories[0]))


class BahdanauDecoder(AttentionalDecoder):
    """Bahdanau et al. 2015: c_t = Σ a_ti h_i with a_t from s_{t-1}; s_t = cell([E y_{t-1}; c_t], s_{t-1}).

    The output layer reads tanh(W [s_t; c_t; E y_{t-1}]). What depends on the target words alone, and the output,
    is computed for all tokens at once outside the loop.
    """

    Options = AttentionalDecoderOptions

    def __init__(
        self, options: AttentionalDecoderOptions, parts: DecoderParts, extra_inputs: tuple[int, ...] = ()
    ) -> None:
        """``extra_inputs``: widths of what the cell of a variant reads beside word and context."""
        super().__init__(options, parts)
        words, context = parts.embedding.size, self.context_size
        self.cells = CellStack(options, (words, context, *extra_inputs))
        self.readout = nn.Linear(options.hidden_size + context + words, words)

    def advance(
        self, token_NT: Tensor, state: AttentionalState, need_weights: bool = False
    ) -> tuple[DecoderOutput, AttentionalState]:
        return self._read(token_NT, state, need_weights)[:2]

    def _read(
        self, token_NT: Tensor, state: AttentionalState, need_weights: bool
    ) -> tuple[DecoderOutput, AttentionalState, Sequence[Any]]:
        """Advances, and returns the results of :meth:`_move` for each step of a variant, too."""
        words_TNE, before, steps = self.dropout(self.embedding(token_NT.t())), state.cells, []
        gates_TNG = self.cells.project(words_TNE)
        with time_loop(len(gates_TNG)):
            for gates_NG in gates_TNG.unbind(0):
                steps.append(self._move(gates_NG, before, state.memory))
                before = steps[-1][2]
        contexts, weights, cells, extras = zip(*steps, strict=True)
        hidden_TND = torch.stack(list(map(self.cells.output, cells))).to(words_TNE.dtype)
        read_TNX = torch.cat((hidden_TND, torch.stack(contexts), words_TNE), dim=-1)
        features_TND = self.dropout(self.readout(read_TNX).tanh())
        weights_NHTS = torch.stack(weights, dim=1)[:, None] if need_weights else None
        return DecoderOutput(features_TND.transpose(0, 1), weights_NHTS), AttentionalState(before, state.memory), extras

    def _move(self, gates_NG: Tensor, cells: CellState, memory: Memory) -> tuple[Tensor, Tensor, CellState, Any]:
        """One step from the words' share of the gates: context [N, D], weights [N, S], the next state, and what a
        variant keeps of the step."""
        query_ND = self.cells.output(cells).to(memory.values_BSD.dtype)
        query_BKD = torch.unflatten(query_ND, 0, (memory.mask_BS.shape[0], -1))
        context_BKD, weights_BKS = self.attention(query_BKD, memory)
        context_ND = context_BKD.flatten(0, 1)
        cells = self.cells(gates_NG + self.cells.project(context_ND, part=1), cells)
        return context_ND, weights_BKS.flatten(0, 1), cells, None


class LuongDecoder(AttentionalDecoder):
    """Luong et al. 2015, global attention: h_t = cell(E y_{t-1}, h_{t-1}), c_t = Σ a_ti h_i with a_t from h_t,
    and the output layer reads the attentional vector h~_t = tanh(W [c_t; h_t]).

    Without input feeding the recurrence needs no attention, so that all tokens are one call of the recurrent
    kernel and one batched attention. With it, the cell reads [E y_{t-1}; h~_{t-1}] in a loop.
    """

    class Options(AttentionalDecoderOptions):
        input_feeding: bool = Field(False, description="the attentional vector of a step enters the next one's cell")

    def __init__(self, options: Options, parts: DecoderParts) -> None:
        super().__init__(options, parts)
        words = parts.embedding.size
        self.input_feeding = options.input_feeding
        if self.input_feeding:
            self.cells = CellStack(options, (words, words))
        else:
            self.recurrence = Recurrence(options, words)
        self.attentional = nn.Linear(self.context_size + options.hidden_size, words)

    def start(self, encoded: EncoderOutput) -> AttentionalState:
        state = super().start(encoded)
        if not self.input_feeding:
            return state
        values_BSD = state.memory.values_BSD
        return replace(state, feed_ND=values_BSD.new_zeros(values_BSD.shape[0], self.attentional.out_features))

    def advance(
        self, token_NT: Tensor, state: AttentionalState, need_weights: bool = False
    ) -> tuple[DecoderOutput, AttentionalState]:
        cells, feed_ND = state.cells, state.feed_ND
        if feed_ND is None:
            hidden_NTD, cells = self.recurrence(self.dropout(self.embedding(token_NT)), cells)
            features_NTD, weights_NTS = self._attend(hidden_NTD, state.memory)
        else:
            attended = []
            gates_TNG = self.cells.project(self.dropout(self.embedding(token_NT.t())))
            with time_loop(len(gates_TNG)):
                for gates_NG in gates_TNG.unbind(0):
                    cells = self.cells(gates_NG + self.cells.project(feed_ND, part=1), cells)
                    attended.append(self._attend(self.cells.output(cells)[:, None], state.memory))
                    feed_ND = attended[-1][0][:, 0]
            features_NTD, weights_NTS = (torch.cat(parts, dim=1) for parts in zip(*attended, strict=True))
        output = DecoderOutput(features_NTD, weights_NTS[:, None] if need_weights else None)
        return output, AttentionalState(cells, state.memory, feed_ND)

    def _attend(self, hidden_NTD: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attentional vectors [N, T, D] and weights [N, T, S] of top-layer states."""
        shape = hidden_NTD.shape[:2]
        hidden_BQD = torch.unflatten(hidden_NTD, 0, (memory.mask_BS.shape[0], -1)).flatten(1, 2)
        context_BQD, weights_BQS = self.attention(hidden_BQD, memory)
        features_BQD = self.dropout(step_layer(self.attentional, torch.cat((context_BQD, hidden_BQD), dim=-1)).tanh())
        return features_BQD.reshape(*shape, -1), weights_BQS.reshape(*shape, -1)
