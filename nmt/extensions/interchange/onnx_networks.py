"""The networks of an ONNX folder as modules of PyTorch: the encoder, and a step of the decoder.

Their inputs and outputs are those of :mod:`nmt.extensions.interchange.onnx`.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from math import inf
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt.core.errors import UserError
from nmt.extensions.interchange.ct2 import num_positions
from nmt.extensions.ssru.network import SsruDecoder, SsruLayer
from nmt.models.attention import KeysValues, MultiHeadAttention, padding_bias
from nmt.models.cells.base import CellState
from nmt.models.contracts import Memory, select_heads
from nmt.models.layers import Layers, Positions
from nmt.models.networks.recurrence import Recurrence
from nmt.models.networks.recurrent import AttentionalDecoder, AttentionalState
from nmt.models.networks.transformer import DecoderLayer, TransformerDecoder, TransformerEncoder, projected_memory
from nmt.models.seq2seq import Seq2Seq
from nmt.translation.translator import Translator

GATES = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}
"""The places of the gates of ONNX's operators in PyTorch's order."""


class _PositionTable(nn.Embedding):
    """The position codes as a table, with a position that is a tensor."""

    def __init__(self, positions: Positions, length: int) -> None:
        with torch.inference_mode():
            codes_TD = positions(torch.zeros(1, length, positions.size))[0]
        super().__init__(length, positions.size, _weight=codes_TD.clone())

    def forward(self, x_BTD: Tensor, start: Tensor | None = None) -> Tensor:
        return x_BTD + super().forward(torch.arange(x_BTD.shape[1]) if start is None else start[None])


class _OutputLayer(nn.Module):
    """Logits of vectors [..., D] for all tokens, or for those of a shortlist."""

    def __init__(self, weight_VD: nn.Parameter, bias_V: Tensor) -> None:
        super().__init__()
        self.weight_VD, self.bias_V = weight_VD, nn.Parameter(bias_V)

    def forward(self, features: Tensor, ids_C: Tensor | None) -> Tensor:
        if ids_C is None:
            return features @ self.weight_VD.T + self.bias_V
        return features @ self.weight_VD.index_select(0, ids_C).T + self.bias_V[ids_C]


class _Encoder(nn.Module):
    """The encoder and the projection of its memory: keys and values of each layer [B, H, S, d]."""

    def __init__(self, encoder: TransformerEncoder, attentions: Sequence[MultiHeadAttention]) -> None:
        super().__init__()
        self.encoder, self.attentions = encoder, Layers[MultiHeadAttention](attentions)

    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, ...]:
        [memory] = self.encoder(source_BS, mask_BS.sum(1)).memories
        return tuple(chain(*projected_memory(memory, self.attentions).keys))


def best_continuations(
    log_p_BKV: Tensor, score_BK: Tensor, at_limit_B: Tensor, eos: int, never: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the C = 2K best continuations of the hypotheses of each sentence.

    A search needs no more, and all log-probabilities are 16 MB for 100 sentences, 5 hypotheses and 8,000 tokens.

    Args:
        log_p_BKV: log-probabilities of the next token.
        score_BK: log-probabilities of the hypotheses.
        at_limit_B: whether EOS is the only continuation.
        never: ids that no translation contains.

    Returns:
        Their log-probabilities, best first, the places of their hypotheses, and their tokens, each [B, C].
    """
    _, size, num_tokens = log_p_BKV.shape
    value_BKC, token_BKC = log_p_BKV.topk(cast(Any, torch).sym_min(2 * size + len(never), num_tokens))
    for token in never:
        value_BKC = value_BKC.masked_fill(token_BKC == token, -inf)
    ended_BKC = functional.pad(log_p_BKV[:, :, eos, None], (0, value_BKC.shape[2] - 1), value=-inf)
    value_BKC = score_BK[:, :, None] + torch.where(at_limit_B[:, None, None], ended_BKC, value_BKC)
    token_BKC = token_BKC.masked_fill(at_limit_B[:, None, None], eos)
    value_BC, place_BC = value_BKC.flatten(1).topk(2 * size)
    parent_BC = place_BC // value_BKC.shape[2]
    return value_BC, parent_BC.int(), token_BKC.flatten(1).gather(1, place_BC).int()


class Step(nn.Module, ABC):
    """A step of a decoder. Memory is what the encoder gives, and a state a list of tensors [B, K, …]."""

    def __init__(self, decoder: Any, heads: Sequence[int], eos: int, never: Sequence[int]) -> None:
        super().__init__()
        self.decoder, self.heads, self.eos, self.never = decoder, list(heads), eos, list(never)

    def forward(
        self,
        token_BK: Tensor,
        position: Tensor,
        mask_BS: Tensor,
        score_BK: Tensor,
        at_limit_B: Tensor,
        memory: Sequence[Tensor],
        state: Sequence[Tensor],
        shortlist_C: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        features_BKD, weights_BHKS, parts = self.read(token_BK, position, mask_BS, memory, state)
        log_p_BKV = self.decoder.output(features_BKD, shortlist_C).log_softmax(-1)
        attention_BKS = select_heads(weights_BHKS, self.heads).mean(1)
        # The special ids are the first of a shortlist, so they have the same places in it.
        value_BC, parent_BC, token_BC = best_continuations(log_p_BKV, score_BK, at_limit_B, self.eos, self.never)
        if shortlist_C is not None:
            token_BC = shortlist_C[token_BC.long()].int()
        return log_p_BKV, attention_BKS, log_p_BKV[:, :, self.eos], value_BC, parent_BC, token_BC, *parts

    @abstractmethod
    def read(
        self, token_BK: Tensor, position: Tensor, mask_BS: Tensor, memory: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """Returns the features [B, K, D] after a token, attention weights [B, H, K, S] and the new state."""

    @abstractmethod
    def initial_shapes(self) -> list[list[int]]:
        """Shapes of the first state, after [B, K]; it is zero."""


class _TransformerStep(Step):
    """Memory is the keys and values of each layer's attention to the source.

    The state of a Transformer is the keys and values of each layer [B, K, H, C, d], where a hypothesis has its own past
    alone; that of SSRUs is the cell of each layer [B, K, D].
    """

    def read(
        self, token_BK: Tensor, position: Tensor, mask_BS: Tensor, memory: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        decoder, bias, weights, parts = self.decoder, padding_bias(mask_BS), list[Tensor](), list[Tensor]()
        x_BKD = decoder.positions(decoder.embedding(token_BK), position)
        if isinstance(decoder, TransformerDecoder):
            x_BKD = decoder.embedding_norm(x_BKD)
        size = len(state) // len(decoder.layers)
        for number, layer in enumerate(decoder.layers):
            own, keys_values = state[size * number : size * (number + 1)], (memory[2 * number], memory[2 * number + 1])
            read = _read_transformer if isinstance(layer, DecoderLayer) else _read_ssru
            x_BKD, weights_BHKS, new = read(cast(Any, layer), x_BKD, own, keys_values, bias)
            weights.append(cast(Tensor, weights_BHKS))
            parts += new
        return decoder.norm(x_BKD), torch.cat(weights, dim=1), parts

    def initial_shapes(self) -> list[list[int]]:
        decoder, width = self.decoder, self.decoder.embedding.size
        if isinstance(decoder, SsruDecoder):
            return [[width]] * len(decoder.layers)
        return [[decoder.num_heads, 0, width // decoder.num_heads]] * (2 * len(decoder.layers))


class _RecurrentEncoder(nn.Module):
    """The encoder, and what the decoder makes of its annotations: first state, values [B, S, D] and, if any, keys."""

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = model

    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, ...]:
        state = cast(AttentionalState, self.model.start(source_BS, mask_BS.sum(1)))
        keys = () if state.memory.keys is None else (state.memory.keys,)
        return *state.cells, state.memory.values_BSD, *keys


class _RecurrentStep(Step):
    """A state is the parts of the state of the cells [B, K, L, D], and the vector [B, K, D] of input feeding."""

    def read(
        self, token_BK: Tensor, position: Tensor, mask_BS: Tensor, memory: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        count, shape = self.decoder.first_state.num_states, token_BK.shape
        first, (values_BSD, *keys) = memory[:count], memory[count:]
        cells = [torch.where(position == 0, x[:, None], part) for x, part in zip(first, state[:count], strict=True)]
        rows = [part.flatten(0, 1) for part in (*cells, *state[count:])]
        attended = Memory(values_BSD, mask_BS, keys[0] if keys else None)
        given = AttentionalState(tuple(rows[:count]), attended, *rows[count:])
        read, after = self.decoder.advance(token_BK.flatten()[:, None], given, need_weights=True)
        feed = () if after.feed_ND is None else (after.feed_ND,)
        parts = (read.features_BTD[:, 0], read.weights_BHTS[:, :, 0], *after.cells, *feed)
        features_BKD, weights_BKHS, *new = (torch.unflatten(part, 0, shape) for part in parts)
        return features_BKD, weights_BKHS.transpose(1, 2), new

    def initial_shapes(self) -> list[list[int]]:
        first, feed = self.decoder.first_state, getattr(self.decoder, "input_feeding", False)
        return [[first.num_layers, first.size]] * first.num_states + [[self.decoder.embedding.size]] * feed


class _Kernel:
    """A layer of recurrent cells: a step by products, which have 8 bits where matrices are quantized, or all positions
    by ONNX's operator, whose weights are those of both directions with the gates in another order."""

    def __init__(self, kernel: nn.Module) -> None:
        if not isinstance(kernel, nn.RNNBase) or kernel.mode not in GATES:
            raise UserError(
                "onnxruntime has the cells gru and lstm alone.", "Train the model with cell: gru or lstm on each side."
            )
        self.kernel, order = kernel, GATES[kernel.mode]
        inputs, hidden, *biases = (
            torch.stack([torch.cat([weight.detach().chunk(len(order))[gate] for gate in order]) for weight in weights])
            for weights in zip(*kernel.all_weights, strict=True)
        )
        self.weights = inputs, hidden, torch.cat(biases, dim=1)
        direction = "bidirectional" if kernel.bidirectional else "forward"
        self.options = dict[str, Any](hidden_size=kernel.hidden_size, direction=direction)
        if kernel.mode == "GRU":
            self.options["linear_before_reset"] = 1

    def __call__(self, x_BTD: Tensor, state: CellState | None, length_B: Tensor | None) -> tuple[Tensor, CellState]:
        """Computes :meth:`nmt.models.networks.recurrence.Recurrence.run_kernel`."""
        is_lstm, directions, size = self.kernel.mode == "LSTM", len(self.kernel.all_weights), self.kernel.hidden_size
        if length_B is None:
            assert state is not None
            run = getattr(torch, f"{self.kernel.mode.lower()}_cell")
            new = run(x_BTD[:, 0], state if is_lstm else state[0], *self.kernel.all_weights[0])
            return (new[0] if is_lstm else new)[:, None], new if is_lstm else (new,)
        first = [torch.unflatten(part, 1, (directions, size)).transpose(0, 1) for part in state or ()]
        (num_rows, length), dtype = x_BTD.shape[:2], x_BTD.dtype
        shapes = [[length, directions, num_rows, size], *[[directions, num_rows, size]] * (1 + is_lstm)]
        output_TWBD, *final = torch.onnx.ops.symbolic_multi_out(
            self.kernel.mode, [x_BTD.transpose(0, 1), *self.weights, length_B.int(), *first], self.options,
            dtypes=[dtype] * len(shapes), shapes=shapes, version=14,
        )  # fmt: skip
        return output_TWBD.permute(2, 0, 1, 3).flatten(2), tuple(part.transpose(0, 1).flatten(1) for part in final)


def _read_transformer(
    layer: DecoderLayer, x_BKD: Tensor, state: Sequence[Tensor], keys_values: KeysValues, bias: Tensor
) -> tuple[Tensor, Tensor | None, Sequence[Tensor]]:
    """Returns the output of a layer [B, K, D], its attention weights [B, H, K, S] and its new state."""
    assert layer.cross_attention is not None  # there is an encoder
    assert layer.around_cross is not None
    y_N1D, shape = layer.around_self.before(x_BKD).flatten(0, 1)[:, None], x_BKD.shape[:2]
    new = (torch.unflatten(part, 0, shape) for part in layer.self_attention.project(y_N1D))
    past = [torch.cat(pair, dim=3) for pair in zip(state, new, strict=True)]
    own = past[0].flatten(0, 1), past[1].flatten(0, 1)
    attended_N1D, _ = layer.self_attention(y_N1D, own, torch.zeros(1))
    x_BKD = layer.around_self.after(x_BKD, torch.unflatten(attended_N1D[:, 0], 0, shape))
    attended_BKD, weights_BHKS = layer.cross_attention(layer.around_cross.before(x_BKD), keys_values, bias, True)
    x_BKD = layer.around_cross.after(x_BKD, attended_BKD)
    y_BKD = layer.feed_forward(layer.around_feed_forward.before(x_BKD))
    return layer.around_feed_forward.after(x_BKD, y_BKD), weights_BHKS, past


def _read_ssru(
    layer: SsruLayer, x_BKD: Tensor, state: Sequence[Tensor], keys_values: KeysValues, bias: Tensor
) -> tuple[Tensor, Tensor | None, Sequence[Tensor]]:
    """See :func:`_read_transformer`."""
    x_N1D, [cell_BKD], shape = x_BKD.flatten(0, 1)[:, None], state, x_BKD.shape[:2]
    x_N1D, cell_ND, weights_BHKS = layer(x_N1D, cell_BKD.flatten(0, 1), keys_values, bias, True)
    return torch.unflatten(x_N1D[:, 0], 0, shape), weights_BHKS, [torch.unflatten(cell_ND, 0, shape)]


def networks(translator: Translator) -> tuple[nn.Module, Step]:
    """Returns the encoder and the step of the decoder as they are exported."""
    model, length = copy.deepcopy(translator.model).eval(), num_positions(translator)
    encoder, decoder, target = cast(Any, model.encoder), cast(Any, model.decoder), translator.vocabularies.target
    decoder.output = _OutputLayer(decoder.output.weight_VD, decoder.output.bias_V)
    never = [target.pad, target.sos]  # no translation contains them
    search = translator.aligner.heads.heads, target.eos, never
    if isinstance(decoder, AttentionalDecoder):
        for recurrence in [part for part in model.modules() if isinstance(part, Recurrence)]:
            kernels = {layer: _Kernel(layer) for layer in recurrence.layers}
            cast(Any, recurrence).run_kernel = lambda layer, *read, kernels=kernels: kernels[layer](*read)
        return _RecurrentEncoder(model).eval(), _RecurrentStep(decoder, *search).eval()
    for side in (encoder, decoder):
        side.positions = _PositionTable(side.positions, length)
    attentions = [
        layer.attention if isinstance(layer, SsruLayer) else layer.cross_attention for layer in decoder.layers
    ]
    return _Encoder(encoder, attentions).eval(), _TransformerStep(decoder, *search).eval()
