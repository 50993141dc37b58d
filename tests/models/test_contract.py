"""What every encoder and decoder promises, whatever it computes.

Each row of the tables in ``nmt/models/build.py`` is covered with its default options, and with each row of the
other table; a new system needs no line here. ``VARIANTS`` adds options that change the way through the code.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.batching import Batch, make_batch
from nmt.data.vocabulary import Vocabularies
from nmt.decoding.search import search_batch
from nmt.models.build import ATTENTIONS, DECODERS, ENCODERS
from nmt.models.cells import CELLS
from nmt.models.interfaces import Decoder
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import load_weights, save_weights, weights_of
from nmt.training.loss import token_loss

BEAM = 3
RECURRENT = {"type": "recurrent", "hidden_size": 8}
BAHDANAU = {"type": "bahdanau", "hidden_size": 16, "attention": {"type": "additive", "size": 10}}
LUONG = {**BAHDANAU, "type": "luong"}
FED = {**LUONG, "input_feeding": True}
HIERARCHICAL = {"type": "hierarchical", "size": 10, "hidden_size": 12}
TRANSFORMER = {"type": "transformer", "num_layers": 2, "num_heads": 4, "feed_forward_size": 24}
CELL_OPTIONS: dict[str, dict[str, Any]] = {
    "learned leaky": {"type": "leaky", "learned": True},
    "relu leaky": {"type": "leaky", "gamma": 1.5, "activation": "relu"},
    "clockwork of 2": {"type": "clockwork", "num_modules": 2},
    "identity relu": {"type": "rnn_relu", "init": "identity"},
    "orthogonal peephole": {"type": "peephole", "init": "orthogonal"},
    "spectral gru": {"type": "gru", "init": "spectral"},
}
NTM_ENCODER = {"type": "ntm", "hidden_size": 8, "num_slots": 6, "slot_size": 5, "num_write_heads": 2, "max_shift": 2}
NTM = {"type": "ntm", "hidden_size": 8, "slot_size": 5, "num_read_heads": 2, "num_write_heads": 2}
ADAPTIVE = {"type": "act_rnn", "hidden_size": 8, "max_steps": 4}
ADAPTIVE_DECODER = {**BAHDANAU, "type": "act_rnn", "max_steps": 4}
UNIVERSAL = {"type": "universal_transformer", "num_heads": 4, "feed_forward_size": 24, "max_steps": 4}
Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _variants() -> Iterator[tuple[str, Case]]:
    recurrent_decoders = {
        "recurrent": {**RECURRENT, "hidden_size": 16},
        "bahdanau": BAHDANAU,
        "luong": LUONG,
        "fed": FED,
    }
    for (name, decoder), cell, layers in itertools.product(recurrent_decoders.items(), CELLS, (1, 2)):
        depth = {"cell": cell, "num_layers": layers, "dropout": 0.2 * (layers - 1)}
        encoder = {**RECURRENT, **depth, "bidirectional": layers == 2}
        yield f"{name} {cell} {layers}", (encoder, {**decoder, **depth}, {})
    for (name, decoder), score in itertools.product(
        (("bahdanau", BAHDANAU), ("luong", LUONG), ("fed", FED)),
        [score for score in ATTENTIONS if score not in ("additive", "hierarchical")],
    ):
        yield f"{name} {score}", (RECURRENT, {**decoder, "attention": {"type": score}}, {})
    for name, decoder in (("bahdanau", BAHDANAU), ("luong", LUONG), ("fed", FED)):
        encoder = {**RECURRENT, "type": "hierarchical", "num_layers": 2, "dropout": 0.2}
        yield f"{name} over turns", (encoder, {**decoder, "attention": HIERARCHICAL}, {"tie": "all"})
    for (name, decoder), start in itertools.product(recurrent_decoders.items(), ("copy", "zero")):
        if (name, start) != ("recurrent", "zero"):
            encoder = {**RECURRENT, "reverse": True, "num_layers": 2, "hidden_size": 16, "bidirectional": False}
            yield f"{name} {start}", (encoder, {**decoder, "bridge": start, "num_layers": 2}, {})
    for name, cell in CELL_OPTIONS.items():
        deep = {"cell": cell, "num_layers": 2}
        yield f"bahdanau {name}", ({**RECURRENT, **deep}, {**BAHDANAU, **deep}, {"init": "xavier"})
        yield f"luong {name}", ({**RECURRENT, **deep}, {**LUONG, **deep}, {})
    for (name, decoder), cell in itertools.product(recurrent_decoders.items(), ("lstm", "gru", "clockwork")):
        deep = {"cell": cell, "num_layers": 3, "residual": True, "dropout": 0.1}
        yield f"{name} residual {cell}", ({**RECURRENT, **deep}, {**decoder, **deep}, {})
        deep = {"cell": cell, "num_layers": 2}
        bridge = "dense" if name == "recurrent" else "learned"
        learned = {**RECURRENT, **deep, "initial_state": "learned"}
        yield f"{name} learned start {cell}", (learned, {**decoder, **deep, "bridge": bridge}, {})
    for name, decoder in (("bahdanau", BAHDANAU), ("luong", LUONG), ("fed", FED)):
        near = {"type": "location", "max_positions": 3}
        yield f"{name} location, first words", (RECURRENT, {**decoder, "attention": near}, {})
    decoders = {**recurrent_decoders, "transformer": TRANSFORMER}
    for (name, decoder), tie in itertools.product(decoders.items(), ("target", "all")):
        encoder = TRANSFORMER if name == "transformer" else RECURRENT
        yield f"{name} tie {tie}", (encoder, decoder, {"tie": tie, "scale_embeddings": True, "init": "xavier"})
    for name, decoder in recurrent_decoders.items():
        yield f"{name} under a deeper encoder", ({**RECURRENT, "num_layers": 3}, decoder, {})
        yield f"{name} over another cell", ({**RECURRENT, "cell": "gru"}, {**decoder, "num_layers": 2}, {})
    post = {**TRANSFORMER, "norm": "post", "dropout": 0.2, "attention_dropout": 0.2, "activation_dropout": 0.2}
    yield "post-norm", (post, post, {})
    learned = {**TRANSFORMER, "positions": "learned", "max_positions": 5}
    yield "learned positions", (learned, learned, {})
    yield "ntm goes on", (NTM_ENCODER, {**NTM, "memory": "slots"}, {"tie": "all"})
    yield (
        "ntm goes on, one head",
        ({"type": "ntm", "slot_size": 5}, {**NTM, "memory": "slots", "num_read_heads": 1}, {}),
    )
    yield "ntm over words", (RECURRENT, {**NTM, "cell": "gru", "num_layers": 2, "dropout": 0.2, "max_shift": 3}, {})
    yield "ntm with free slots", (RECURRENT, {**NTM, "num_free_slots": 3, "max_shift": 2}, {})
    yield (
        "act",
        ({**ADAPTIVE, "num_layers": 2, "dropout": 0.2}, {**ADAPTIVE_DECODER, "num_layers": 2, "dropout": 0.2}, {}),
    )
    yield "act one way", ({**ADAPTIVE, "bidirectional": False, "cell": "gru"}, {**ADAPTIVE_DECODER, "cell": "gru"}, {})
    for cell in CELLS:
        yield f"ntm {cell}", ({**NTM_ENCODER, "cell": cell}, {**NTM, "cell": cell}, {})
        if cell != "clockwork":
            yield f"act {cell}", ({**ADAPTIVE, "cell": cell}, {**ADAPTIVE_DECODER, "cell": cell}, {})
    yield (
        "universal pre-norm",
        ({**UNIVERSAL, "norm": "pre"}, {**UNIVERSAL, "norm": "pre", "dropout": 0.2}, {"tie": "all"}),
    )
    yield "universal, all steps", ({**UNIVERSAL, "adaptive": False}, {**UNIVERSAL, "adaptive": False}, {})
    learned = {**UNIVERSAL, "positions": "learned", "max_positions": 5, "max_steps": 2}
    yield "universal, learned positions", (learned, learned, {})
    yield "transformer over odd memory", ({**RECURRENT, "hidden_size": 5, "bidirectional": False}, TRANSFORMER, {})


DEFAULTS = {
    f"{encoder} -> {decoder}": ({"type": encoder}, {"type": decoder}, {})
    for encoder, decoder in itertools.product(ENCODERS, DECODERS)
}
VARIANTS: dict[str, Case] = dict(_variants())
CASES = {**DEFAULTS, **VARIANTS}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture(scope="module")
def model(case: Case, make_model: Any) -> Seq2Seq:
    encoder, decoder, others = case
    made: Seq2Seq = make_model(encoder, decoder, **others)
    return made


def run(model: Seq2Seq, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Logits and attention weights of all positions."""
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
    return model.decoder.output(unrolled.features_BTD), unrolled.weights_BHTS


def assert_close(found: Tensor | None, expected: Tensor | None) -> None:
    if expected is None:
        assert found is None
    else:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_unrolling_equals_stepping(model: Seq2Seq, batch: Batch) -> None:
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    fast = model.decoder.unroll(batch.target_input_BT, encoded, need_weights=True)
    state = model.decoder.start(encoded)
    for position, token_B in enumerate(batch.target_input_BT.unbind(1)):
        output = model.decoder.step(token_B, state, need_weights=True)
        assert_close(output.logits_NV, model.decoder.output(fast.features_BTD[:, position]))
        assert_close(output.weights_NHS, None if fast.weights_BHTS is None else fast.weights_BHTS[:, :, position])
        state = output.state
    slow = Decoder.unroll(model.decoder, batch.target_input_BT, encoded, need_weights=True)
    assert_close(slow.features_BTD, fast.features_BTD)
    assert_close(slow.weights_BHTS, fast.weights_BHTS)


@torch.no_grad()
def test_weights_are_given_only_when_asked_for_and_change_nothing(model: Seq2Seq, batch: Batch) -> None:
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    without = model.decoder.unroll(batch.target_input_BT, encoded)
    assert without.weights_BHTS is None
    assert_close(without.features_BTD, model.decoder.unroll(batch.target_input_BT, encoded, True).features_BTD)
    state = model.decoder.start(encoded)
    output = model.decoder.step(batch.target_input_BT[:, 0], state)
    assert output.weights_NHS is None
    assert_close(output.logits_NV, model.decoder.step(batch.target_input_BT[:, 0], state, True).logits_NV)


@torch.no_grad()
def test_reordering_takes_everything_along(model: Seq2Seq, batch: Batch) -> None:
    """As in search: several hypotheses a sentence, swapped and doubled, while sentences leave and change places.

    At the end each row must be where unrolling its whole history over its own sentence arrives.
    """
    random = torch.Generator().manual_seed(3)
    num_sentences = len(batch.source_BS)
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    sentences = torch.arange(num_sentences)
    history_NT = batch.target_input_BT[:, :1].repeat_interleave(BEAM, 0)
    state = model.decoder.start(encoded).reorder(sentences.repeat_interleave(BEAM))
    for kept in (None, [3, 1, 0], None, [2, 0], None):
        output = model.decoder.step(history_NT[:, -1], state, need_weights=True)
        chosen = torch.arange(len(sentences)) if kept is None else torch.tensor(kept)
        picks = torch.randint(BEAM, (len(chosen), BEAM), generator=random)
        rows = (chosen[:, None] * BEAM + picks).flatten()
        state = output.state.reorder(rows, None if kept is None else chosen)
        tokens = torch.randint(4, 16, (len(rows), 1), generator=random)
        history_NT, sentences = torch.cat((history_NT[rows], tokens), 1), sentences[chosen]
    output = model.decoder.step(history_NT[:, -1], state, need_weights=True)

    origin_N = sentences.repeat_interleave(BEAM)
    encoded = model.encode(batch.source_BS[origin_N], batch.source_length_B[origin_N])
    unrolled = model.decoder.unroll(history_NT, encoded, need_weights=True)
    assert_close(output.logits_NV, model.decoder.output(unrolled.features_BTD[:, -1]))
    assert_close(output.weights_NHS, None if unrolled.weights_BHTS is None else unrolled.weights_BHTS[:, :, -1])


@torch.no_grad()
def test_a_state_can_be_continued_twice(model: Seq2Seq, batch: Batch) -> None:
    state = model.decoder.start(model.encode(batch.source_BS, batch.source_length_B))
    token_B = batch.target_input_BT[:, 0]
    state = model.decoder.step(token_B, state).state
    expected = model.decoder.step(token_B, state).logits_NV
    model.decoder.step(torch.full_like(token_B, 7), state)
    assert torch.equal(model.decoder.step(token_B, state).logits_NV, expected)


@torch.no_grad()
def test_batch_mates_change_nothing(
    model: Seq2Seq,
    batch: Batch,
    sentence_pairs: list[tuple[list[int], list[int]]],
    joint_vocabularies: Vocabularies,
) -> None:
    together, weights_BHTS = run(model, batch)
    for row, (source, target) in enumerate(sentence_pairs):
        alone, own_weights = run(model, make_batch([(source, target)], joint_vocabularies))
        assert_close(together[row, : len(target) + 1], alone[0])
        if weights_BHTS is not None:
            assert own_weights is not None
            assert_close(weights_BHTS[row, :, : len(target) + 1, : len(source) + 1], own_weights[0])


@torch.no_grad()
def test_what_stands_in_the_padding_changes_nothing(model: Seq2Seq, batch: Batch) -> None:
    def real(ids: Tensor, length_B: Tensor) -> Tensor:
        return torch.arange(ids.shape[1]) < length_B[:, None]

    source_real, target_real = (
        real(batch.source_BS, batch.source_length_B),
        real(batch.target_input_BT, batch.target_length_B),
    )
    garbage = Batch(
        torch.where(source_real, batch.source_BS, 11),
        batch.source_length_B,
        torch.where(target_real, batch.target_input_BT, 12),
        batch.target_output_BT,
        batch.target_length_B,
    )
    (clean, clean_weights), (dirty, dirty_weights) = run(model, batch), run(model, garbage)
    assert_close(dirty[target_real], clean[target_real])
    if clean_weights is not None:
        assert dirty_weights is not None
        assert_close(dirty_weights.transpose(1, 2)[target_real], clean_weights.transpose(1, 2)[target_real])


@torch.no_grad()
def test_the_source_is_heard_and_the_future_is_not(model: Seq2Seq, batch: Batch) -> None:
    logits, _ = run(model, batch)
    source = batch.source_BS.clone()
    source[torch.arange(3), batch.source_length_B[:3] - 2] = 14
    encoded = model.encode(source, batch.source_length_B)
    changed = model.decoder.output(model.decoder.unroll(batch.target_input_BT, encoded).features_BTD)
    assert ((changed - logits)[:3].abs().amax((1, 2)) > 1e-5).all()

    target = batch.target_input_BT.clone()
    target[:, 2:] = 15
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    changed = model.decoder.output(model.decoder.unroll(target, encoded).features_BTD)
    assert_close(changed[:, :2], logits[:, :2])
    assert not torch.allclose(changed[:, 2], logits[:, 2], atol=1e-4)


def test_gradients_reach_every_parameter(model: Seq2Seq, batch: Batch) -> None:
    torch.manual_seed(5)
    model.train().zero_grad()
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
    losses = token_loss(
        unrolled.features_BTD, model.decoder.output, batch.target_output_BT, batch.target_length_B, smoothing=0.1
    )
    sum(unrolled.aux_losses.values(), losses.smoothed).backward()
    model.eval()
    parameters = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    assert [name for name, gradient in parameters if gradient is None or not gradient.any()] == []
    assert [name for name, gradient in parameters if gradient is not None and not gradient.isfinite().all()] == []


def test_training_goes_on_after_a_search(model: Seq2Seq, batch: Batch, joint_vocabularies: Vocabularies) -> None:
    """Validation runs in inference mode; nothing that it leaves in the model may stop the next update."""
    options = DecodingOptions(beam_size=2, max_length_extra=2)
    search_batch(model, [[4, 5], [6]], joint_vocabularies, options)
    model(batch.source_BS, batch.source_length_B, batch.target_input_BT).features_BTD.sum().backward()


@torch.no_grad()
def test_loaded_weights_give_the_same_output(
    model: Seq2Seq, case: Case, batch: Batch, make_model: Any, tmp_path: Path
) -> None:
    encoder, decoder, others = case
    save_weights(weights_of(model), tmp_path / "model.safetensors")
    other = make_model(encoder, decoder, seed=2, **others)
    expected, _ = run(model, batch)
    assert not torch.allclose(run(other, batch)[0], expected, atol=1e-4)
    load_weights(other, tmp_path / "model.safetensors")
    assert torch.equal(run(other, batch)[0], expected)


@torch.no_grad()
def test_attention_weights_are_a_distribution_over_real_words(model: Seq2Seq, batch: Batch) -> None:
    _, weights_BHTS = run(model, batch)
    heads = model.decoder.head_names
    assert len(set(heads)) == len(heads)
    if weights_BHTS is None:
        assert heads == ()
        return
    assert weights_BHTS.shape[1] == len(heads)
    for row, length in enumerate(batch.source_length_B.tolist()):
        sums = weights_BHTS[row, :, :, :length].sum(-1)
        if getattr(model.decoder, "num_free_slots", 0):  # they have their share, too
            assert ((sums > 0) & (sums < 1)).all()
        else:
            assert_close(sums, torch.ones(weights_BHTS.shape[1:3]))
        assert not weights_BHTS[row, :, :, length:].any()
