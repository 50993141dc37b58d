"""Whole encoders and decoders against their equations, written out for one sentence.

What they are put together from (cells, scores, attention) has its own tests; here the order and the wiring count.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_systems import torch_attention
from torch import Tensor, nn

from nmt.data.batch import Batch
from nmt.models.contracts import EncoderOutput, Memory
from nmt.models.layers import sinusoids
from nmt.models.seq2seq import Seq2Seq

SOURCE = torch.tensor([[4, 9, 7, 5, 3]])
TARGET = torch.tensor([[2, 6, 11, 8]])
ENCODER = {"type": "recurrent", "cell": "rnn_tanh", "hidden_size": 5}
MakeModel = Callable[..., Seq2Seq]


def encode(model: Seq2Seq) -> tuple[EncoderOutput, Tensor, Tensor]:
    """What the decoder gets, the annotations [S, D] and the words of the target [T, E]."""
    encoded = model.encode(SOURCE, torch.tensor([SOURCE.shape[1]]))
    words_TE: Tensor = model.decoder.embedding(TARGET)[0]
    return encoded, encoded.memories[0].values_BSD[0], words_TE


def attend(decoder: Any, query_D: Tensor, annotations_SD: Tensor) -> tuple[Tensor, Tensor]:
    memory = Memory(annotations_SD[None], torch.ones(1, len(annotations_SD), dtype=torch.bool))
    scores = decoder.attention.scores(query_D[None, None], decoder.attention.prepare(memory))
    weights_S = scores[0, 0].softmax(0)
    return weights_S @ annotations_SD, weights_S


def assert_unrolls_to(model: Seq2Seq, encoded: EncoderOutput, features: list[Tensor], weights: list[Tensor]) -> None:
    found = model.decoder.unroll(TARGET, encoded, need_weights=True)
    torch.testing.assert_close(found.features_BTD[0], torch.stack(features), atol=1e-6, rtol=1e-5)
    if weights:
        torch.testing.assert_close(found.weights_BHTS[0, 0], torch.stack(weights), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_vanilla_seq2seq(make_model: MakeModel) -> None:
    """h_0 is the encoder's last state, h_t = tanh(U E y_{t-1} + W h_{t-1} + b), and the output reads h_t."""
    model = make_model(ENCODER, {"type": "recurrent", "cell": "rnn_tanh", "hidden_size": 10, "bridge": "copy"})
    decoder: Any = model.decoder
    encoded, _, words_TE = encode(model)
    (cell,) = decoder.recurrence.layers
    hidden, features = encoded.final[0][0, 0], []
    for word in words_TE:
        gates = cell.weight_ih_l0 @ word + cell.bias_ih_l0 + cell.weight_hh_l0 @ hidden + cell.bias_hh_l0
        hidden = gates.tanh()
        features.append(decoder.readout.weight @ hidden + decoder.readout.bias)
    assert_unrolls_to(model, encoded, features, [])


@torch.no_grad()
@pytest.mark.parametrize("score", ["additive", "general"])
def test_bahdanau(make_model: MakeModel, score: str) -> None:
    """c_t from s_{t-1}; s_t = tanh(U [E y_{t-1}; c_t] + W s_{t-1} + b); the output reads [s_t; c_t; E y_{t-1}]."""
    options = {"type": "bahdanau", "cell": "rnn_tanh", "hidden_size": 7, "attention": {"type": score}}
    model = make_model(ENCODER, options)
    decoder: Any = model.decoder
    encoded, annotations_SD, words_TE = encode(model)
    (cell,), (dense,) = decoder.cells.cells, decoder.first_state.dense
    hidden = (dense.weight @ encoded.final[0][0, 0] + dense.bias).tanh()
    features, weights = [], []
    for word in words_TE:
        context, weights_S = attend(decoder, hidden, annotations_SD)
        input_weight = torch.cat(tuple(cell.input_weights), dim=1)
        hidden = (input_weight @ torch.cat((word, context)) + cell.hidden_weight @ hidden + cell.bias).tanh()
        features.append((decoder.readout.weight @ torch.cat((hidden, context, word)) + decoder.readout.bias).tanh())
        weights.append(weights_S)
    assert_unrolls_to(model, encoded, features, weights)


@torch.no_grad()
@pytest.mark.parametrize("input_feeding", [False, True])
def test_luong(make_model: MakeModel, input_feeding: bool) -> None:
    """h_t from E y_{t-1} (and h~_{t-1}); c_t from h_t; h~_t = tanh(W [c_t; h_t]) is what the output reads."""
    options = {
        "type": "luong",
        "cell": "rnn_tanh",
        "hidden_size": 7,
        "attention": {"type": "general"},
        "bridge": "zero",
    }
    model = make_model(ENCODER, {**options, "input_feeding": input_feeding})
    decoder: Any = model.decoder
    encoded, annotations_SD, words_TE = encode(model)
    hidden, attentional = torch.zeros(7), torch.zeros(words_TE.shape[1])
    features, weights = [], []
    for word in words_TE:
        if input_feeding:
            (cell,) = decoder.cells.cells
            input_weight = torch.cat(tuple(cell.input_weights), dim=1)
            hidden = input_weight @ torch.cat((word, attentional)) + cell.hidden_weight @ hidden + cell.bias
        else:
            (layer,) = decoder.recurrence.layers
            hidden = layer.weight_ih_l0 @ word + layer.bias_ih_l0 + layer.weight_hh_l0 @ hidden + layer.bias_hh_l0
        hidden = hidden.tanh()
        context, weights_S = attend(decoder, hidden, annotations_SD)
        combined = torch.cat((context, hidden))
        attentional = (decoder.attentional.weight @ combined + decoder.attentional.bias).tanh()
        features.append(attentional)
        weights.append(weights_S)
    assert_unrolls_to(model, encoded, features, weights)


@torch.no_grad()
@pytest.mark.parametrize("bridge", ["copy", "dense"])
@pytest.mark.parametrize(("num_layers", "taken"), [(1, [0, 0]), (2, [0, 1]), (3, [1, 2])])
def test_layers_of_the_first_state_are_matched_from_the_top(
    make_model: MakeModel, batch: Batch, bridge: str, num_layers: int, taken: list[int]
) -> None:
    """Of a deeper encoder the upper layers count, and a shallower one gives its last layer to the rest."""
    encoder = {**ENCODER, "num_layers": num_layers}
    model = make_model(encoder, {**ENCODER, "type": "recurrent", "hidden_size": 10, "num_layers": 2, "bridge": bridge})
    decoder: Any = model.decoder
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    (found_BLD,) = decoder.start(encoded).cells
    for layer, source_layer in enumerate(taken):
        expected_BD = encoded.final[0][:, source_layer]
        if bridge == "dense":
            (dense,) = decoder.first_state.dense
            expected_BD = (expected_BD @ dense.weight.t() + dense.bias).tanh()
        torch.testing.assert_close(found_BLD[:, layer], expected_BD)


@torch.no_grad()
@pytest.mark.parametrize(("cell", "taken"), [("lstm", [0, 1]), ("gru", [0, 0])])
def test_parts_of_the_first_state_are_those_of_the_encoder(
    make_model: MakeModel, batch: Batch, cell: str, taken: list[int]
) -> None:
    """An encoder with fewer parts than the decoder gives its last part to the rest."""
    sizes = {"type": "recurrent", "hidden_size": 10}
    encoder = {**sizes, "cell": cell, "bidirectional": False}
    model = make_model(encoder, {**sizes, "cell": "lstm", "bridge": "copy"})
    decoder: Any = model.decoder
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    found = decoder.start(encoded).cells
    assert len(found) == 2
    for part, source_part in zip(found, taken, strict=True):
        torch.testing.assert_close(part[:, 0], encoded.final[source_part][:, -1])


@torch.no_grad()
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("scale", [False, True])
def test_transformer(make_model: MakeModel, norm: str, scale: bool) -> None:
    """Embedding and position code through PyTorch's layers with the same weights, and for pre-norm a last norm."""
    options = {"type": "transformer", "num_layers": 2, "num_heads": 4, "feed_forward_size": 24, "norm": norm}
    model = make_model(options, options, scale_embeddings=scale)
    for parameter in model.parameters():  # norms that do something, and biases that aren't zero
        parameter.add_(torch.randn_like(parameter) * 0.1)

    def copied(theirs: Any, ours: Any, parts: dict[str, Any]) -> nn.Module:
        theirs.linear1, theirs.linear2 = ours.feed_forward.inner, ours.feed_forward.out
        for name, part in parts.items():
            setattr(theirs, name, part)
        return theirs.eval()

    def embedded(part: Any, ids: Tensor) -> Tensor:
        factor = 4.0 if scale else 1.0
        return part.embedding.weight[ids] * factor + sinusoids(ids.shape[1], 16)

    shape = {"dropout": 0.0, "batch_first": True, "norm_first": norm == "pre"}
    encoder, decoder = model.encoder, model.decoder
    x = embedded(encoder, SOURCE)
    for layer in encoder.layers:
        parts = {
            "self_attn": torch_attention(layer.attention),
            "norm1": layer.around_attention.norm,
            "norm2": layer.around_feed_forward.norm,
        }
        x = copied(nn.TransformerEncoderLayer(16, 4, 24, **shape), layer, parts)(x)
    memory = encoder.norm(x) if norm == "pre" else x
    y = embedded(decoder, TARGET)
    for layer in decoder.layers:
        parts = {
            "self_attn": torch_attention(layer.self_attention),
            "multihead_attn": torch_attention(layer.cross_attention),
            "norm1": layer.around_self.norm,
            "norm2": layer.around_cross.norm,
            "norm3": layer.around_feed_forward.norm,
        }
        theirs = copied(nn.TransformerDecoderLayer(16, 4, 24, **shape), layer, parts)
        y = theirs(y, memory, tgt_mask=torch.ones(4, 4, dtype=torch.bool).triu(1))
    features = decoder.norm(y) if norm == "pre" else y

    encoded = model.encode(SOURCE, torch.tensor([5]))
    torch.testing.assert_close(encoded.memories[0].values_BSD, memory, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(decoder.unroll(TARGET, encoded).features_BTD, features, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_reversing_encoder_reads_from_the_end_and_keeps_places(make_model: MakeModel, batch: Batch) -> None:
    options = {**ENCODER, "bidirectional": False}
    decoder = {"type": "recurrent", "hidden_size": 4}
    plain, reversing = (make_model({**options, "reverse": reverse}, decoder) for reverse in (False, True))
    encoded = reversing.encode(batch.source_BS, batch.source_length_B)
    for row, length in enumerate(batch.source_length_B.tolist()):
        backwards = plain.encode(batch.source_BS[row : row + 1, :length].flip(1), torch.tensor([length]))
        expected = backwards.memories[0].values_BSD[0].flip(0)
        torch.testing.assert_close(encoded.memories[0].values_BSD[row, :length], expected)
        torch.testing.assert_close(encoded.final[0][row], backwards.final[0][0])


@torch.no_grad()
@pytest.mark.parametrize("reverse", [False, True])
def test_attention_reads_embeddings_beside_annotations(make_model: MakeModel, batch: Batch, reverse: bool) -> None:
    """The rest of the encoder is as without them."""
    decoder = {"type": "luong", "hidden_size": 6, "attention": {"type": "general"}}
    both = ({**ENCODER, "reverse": reverse, "attend_embeddings": attended} for attended in (False, True))
    plain, model = (make_model(encoder, decoder) for encoder in both)
    model.encoder.load_state_dict(plain.encoder.state_dict())
    found, without = (each.encode(batch.source_BS, batch.source_length_B) for each in (model, plain))
    (memory,), (annotations,) = found.memories, without.memories
    words_BSE = model.encoder.embedding(batch.source_BS)
    torch.testing.assert_close(memory.values_BSD, torch.cat((annotations.values_BSD, words_BSE), dim=-1))
    torch.testing.assert_close(found.final, without.final)
    assert model.decoder.unroll(TARGET.expand(len(words_BSE), -1), found).features_BTD.isfinite().all()
