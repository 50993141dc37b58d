"""The networks of an ONNX folder as modules of PyTorch: the encoder, and a step of the decoder.

Their inputs and outputs are those of :mod:`nmt.extensions.interchange.onnx`.
"""

import copy
from collections.abc import Sequence
from itertools import chain
from math import inf
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt.extensions.interchange.ct2 import num_positions
from nmt.extensions.ssru.network import SsruDecoder, SsruLayer
from nmt.models.attention import KeysValues, MultiHeadAttention, padding_bias
from nmt.models.contracts import select_heads
from nmt.models.layers import Layers, Positions
from nmt.models.networks.transformer import DecoderLayer, TransformerDecoder, TransformerEncoder, projected_memory
from nmt.translation.translator import Translator


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
        eos: its id.
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


class Step(nn.Module):
    """A step of a decoder. Memory is the keys and values of each layer's attention to the source.

    A state is a list of tensors [B, K, …]: for a Transformer keys and values of each layer [B, K, H, C, d], where a
    hypothesis has its own past alone; for SSRUs the cell of each layer [B, K, D].
    """

    def __init__(
        self, decoder: TransformerDecoder | SsruDecoder, heads: Sequence[int], eos: int, never: Sequence[int]
    ) -> None:
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
        log_p_BKV = cast(Any, decoder.output)(decoder.norm(x_BKD), shortlist_C).log_softmax(-1)
        attention_BKS = select_heads(torch.cat(weights, dim=1), self.heads).mean(1)
        # The special ids are the first of a shortlist, so they have the same places in it.
        value_BC, parent_BC, token_BC = best_continuations(log_p_BKV, score_BK, at_limit_B, self.eos, self.never)
        if shortlist_C is not None:
            token_BC = shortlist_C[token_BC.long()].int()
        return log_p_BKV, attention_BKS, log_p_BKV[:, :, self.eos], value_BC, parent_BC, token_BC, *parts

    def initial_shapes(self) -> list[list[int]]:
        """Shapes of the first state, after [B, K]; it is zero."""
        decoder, width = self.decoder, self.decoder.embedding.size
        if isinstance(decoder, SsruDecoder):
            return [[width]] * len(decoder.layers)
        return [[decoder.num_heads, 0, width // decoder.num_heads]] * (2 * len(decoder.layers))


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
    y_BKD, [cell_BKD] = layer.around_unit.before(x_BKD), state
    forget_BKD = layer.unit.forget(y_BKD).sigmoid()
    cell_BKD = forget_BKD * cell_BKD + (1 - forget_BKD) * layer.unit.value(y_BKD)
    x_BKD = layer.around_unit.after(x_BKD, cell_BKD.relu())
    attended_BKD, weights_BHKS = layer.attention(layer.around_attention.before(x_BKD), keys_values, bias, True)
    x_BKD = layer.around_attention.after(x_BKD, attended_BKD)
    if layer.feed_forward is not None and layer.around_feed_forward is not None:
        y_BKD = layer.feed_forward(layer.around_feed_forward.before(x_BKD))
        x_BKD = layer.around_feed_forward.after(x_BKD, y_BKD)
    return x_BKD, weights_BHKS, [cell_BKD]


def networks(translator: Translator) -> tuple[nn.Module, Step]:
    """Returns the encoder and the step of the decoder as they are exported."""
    model, length = copy.deepcopy(translator.model).eval(), num_positions(translator)
    encoder, decoder = cast(TransformerEncoder, model.encoder), cast(TransformerDecoder | SsruDecoder, model.decoder)
    decoder.output = cast(Any, _OutputLayer(cast(Any, decoder.output.weight_VD), decoder.output.bias_V))
    for side in (encoder, decoder):
        side.positions = cast(Any, _PositionTable(side.positions, length))
    target = translator.vocabularies.target
    never = [target.pad, target.sos]  # no translation contains them
    step = Step(decoder, translator.aligner.heads.heads, target.eos, never)
    attentions = [
        layer.attention if isinstance(layer, SsruLayer) else layer.cross_attention for layer in decoder.layers
    ]
    return _Encoder(encoder, cast(Any, attentions)).eval(), step.eval()
