"""The contract of encoders and decoders, tested for every component.

The cases are chosen pairwise: random models that together have every value of every option, each encoder with each
decoder, cell and attention, and each decoder with each cell and attention. A new row of a table and a new option that
is a bool or a Literal take part without a change here; ``NUMBERS`` lists the values of other options.
"""

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from pydantic.fields import FieldInfo
from searches import search_all
from torch import Tensor

from nmt.data.batch import Batch, make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import ATTENTIONS, DECODERS, ENCODERS
from nmt.models.cells import CELLS
from nmt.models.contracts import State, StepOutput
from nmt.models.layers import length_mask
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import load_weights, save_weights, weights_of
from nmt.recipe.options import Options
from nmt.recipe.registry import Table
from nmt.recipe.schema import NO_ENCODER, DecodingOptions, ModelOptions
from nmt.training.loss import token_loss

BEAM = 3
TABLES: dict[str, Table[Any]] = {"encoder": ENCODERS, "decoder": DECODERS, "cell": CELLS, "attention": ATTENTIONS}
KINDS = ("encoder", "encoder.cell", "decoder", "decoder.cell", "decoder.attention")
"""The options that choose components."""
INTERACTING = [
    ("encoder", "decoder"),
    ("encoder", "encoder.cell"),
    ("encoder", "decoder.attention"),
    ("decoder", "decoder.cell"),
    ("decoder", "decoder.attention"),
    ("decoder.cell", "decoder.input_feeding"),
    ("decoder.cell", "decoder.bridge"),
    ("encoder.cell", "decoder.bridge"),
]
NUMBERS: dict[str, tuple[Any, ...]] = {
    "encoder.hidden_size": (8,),  # of each direction: all memories are 16 wide, as dot attention needs them
    "decoder.hidden_size": (16,),
    "num_layers": (1, 2, 3),
    "dropout": (0.0, 0.2),
    "attention_dropout": (0.0, 0.2),
    "activation_dropout": (0.0, 0.2),
    "feed_forward_size": (24,),
    "max_positions": (5, 150),
    "attention.max_positions": (8, 150),  # the longest source has 9
    "max_steps": (4,),
    "epsilon": (0.01,),
    "num_modules": (2, 4),
    "gamma": (1.5, 4.0),
    "size": (10,),
    "attention.hidden_size": (12,),
    "encoder.num_read_heads": (2,),
    "num_read_heads": (1, 2),
    "num_write_heads": (1, 2),
    "num_slots": (6,),
    "slot_size": (4,),
    "max_shift": (1, 2),
    "decoder.num_free_slots": (0, 3),
}
"""Values of an option by its name, or by its owner and name. An option that is not listed keeps its default."""
REAL_ENCODERS = tuple(name for name in ENCODERS if name != NO_ENCODER)
Row = dict[str, Any]
"""A model: values by their place, such as ``encoder.cell.gamma``. The value of a component is its name."""
Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""The options of encoder, decoder and model."""


def averageable(cell: str | None) -> bool:
    return cell is None or CELLS[cell].averageable


def is_possible(row: Row) -> bool:
    """Whether the components fit together and every parameter gets a gradient."""
    encoder, decoder = row["encoder"], row["decoder"]
    bridge, memory = row.get("decoder.bridge"), row.get("decoder.memory")
    return not (
        any(row[side] == "act_rnn" and not averageable(row.get(f"{side}.cell")) for side in ("encoder", "decoder"))
        or (decoder == "recurrent" and bridge in ("zero", "learned"))
        # Its state is narrower than its memory.
        or ((encoder == "ntm" or row.get("encoder.attend_embeddings")) and bridge == "copy")
        or (memory == "slots" and (encoder != "ntm" or row["decoder.num_free_slots"]))
        # Its last annotation is that of EOS, whatever the source is.
        or (encoder == "embedding" and row.get("decoder.pooling") == "last")
        # With a single utterance the attention over utterances has no gradient.
        or (row.get("decoder.attention") in ("hierarchical", "han") and encoder != "hierarchical")
    )


def values_of(place: str, field: FieldInfo) -> tuple[Any, ...]:
    """The values of an option; none where it keeps its default."""
    *owners, name = place.split(".")
    owner = owners[-1] if owners else "model"
    if name in TABLES:
        return tuple(TABLES[name])
    if field.annotation is bool:
        return (False, True)
    if get_origin(field.annotation) is Literal:
        return get_args(field.annotation)
    return NUMBERS.get(f"{owner}.{name}", NUMBERS.get(name, ()))


@cache
def choices(options: type[Options], owner: str) -> dict[str, tuple[Any, ...]]:
    """The options of a component that are varied, by place, with their values."""
    places = {f"{owner}{name}": field for name, field in options.model_fields.items()}
    return {place: values for place, field in places.items() if (values := values_of(place, field))}


def draw(generator: random.Random) -> Row:
    """A random model."""
    row: Row = {}
    pending = {**choices(ModelOptions, ""), "encoder": REAL_ENCODERS, "decoder": tuple(DECODERS)}
    while pending:
        place, values = pending.popitem()
        row[place] = generator.choice(values)
        table = TABLES.get(place.rpartition(".")[2])
        if table is not None:
            pending |= choices(getattr(table[row[place]], "Options", Options), f"{place}.")
    if row.get("encoder.bidirectional") is False:
        row["encoder.hidden_size"] *= 2
    if row.get("encoder.attend_embeddings") and "decoder.hidden_size" in row:
        row["decoder.hidden_size"] *= 2
    return row if is_possible(row) else draw(generator)


def covers(row: Row) -> set[Any]:
    """What a case tests: pairs of components, and values of options, each with the component that it belongs to."""
    pairs = {(pair, row[pair[0]], row[pair[1]]) for pair in INTERACTING if row.keys() >= set(pair)}
    return pairs | {(place, row.get(place.rpartition(".")[0]), value) for place, value in row.items()}


def pairwise() -> list[Row]:
    """Greedily choose from many random models, until the chosen ones cover all that the others cover.

    The first ones have every component.
    """
    generator = random.Random(1)
    rows: list[Row] = []
    pool = [(row, covers(row)) for row in (draw(generator) for _ in range(1500))]
    while pool:
        best, covered = max(pool, key=lambda drawn: (sum(item[0] in KINDS for item in drawn[1]), len(drawn[1])))
        rows.append(best)
        pool = [(row, missing - covered) for row, missing in pool if not missing <= covered]
    return rows


def nested(row: Row) -> Case:
    """The options of encoder, decoder and model as mappings."""
    options: dict[str, Any] = {}
    for place in sorted(row):
        *owners, name = place.split(".")
        group = options
        for owner in owners:
            group = group[owner]
        group[name] = {"type": row[place]} if name in TABLES else row[place]
    return options.pop("encoder"), options.pop("decoder"), options


ROWS = pairwise()
NAMES = [" ".join(row.get(kind, "-") for kind in KINDS) for row in ROWS]
CASES: dict[str, Case] = {f"{number} {NAMES[number]}": nested(row) for number, row in enumerate(ROWS)}
SLOW = set[str]()
"""Random models of which the ordinary run has every component in another one."""
_known = {(side, name) for side, names in (("encoder", REAL_ENCODERS), ("decoder", DECODERS)) for name in names}
for _name, _row in zip(CASES, ROWS, strict=True):
    if (_components := {(kind, _row[kind]) for kind in KINDS if kind in _row}) <= _known:
        SLOW.add(_name)
    _known |= _components
CASES |= {  # with default options
    f"default {encoder} {decoder}": ({"type": encoder}, {"type": decoder}, {})
    for encoder, decoder in zip_longest(REAL_ENCODERS, DECODERS, fillvalue="recurrent")
}
CASES |= {
    f"language model {bridge} {cell}": (
        {"type": NO_ENCODER},
        {"type": "recurrent", "cell": {"type": cell}, "num_layers": 2, "bridge": bridge},
        {"tie": tie},
    )
    for bridge, cell, tie in (("zero", "lstm", "none"), ("learned", "clockwork", "all"), ("zero", "gru", "target"))
    if cell in CELLS
}
CASES["language model transformer"] = {"type": NO_ENCODER}, {"type": "transformer"}, {"tie": "all"}
CASES["odd memory"] = {"type": "recurrent", "hidden_size": 5, "bidirectional": False}, {"type": "transformer"}, {}
MARKS = {name: [pytest.mark.slow] if name in SLOW else [] for name in CASES}


@pytest.fixture(scope="module", params=[pytest.param(case, id=name, marks=MARKS[name]) for name, case in CASES.items()])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def model(case: Case, make_model: Any) -> Seq2Seq:
    encoder, decoder, others = case
    return make_model(encoder, decoder, **others)


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
def test_reading_at_once_equals_reading_in_steps_and_in_parts(model: Seq2Seq, batch: Batch) -> None:
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    fast = model.decoder.unroll(batch.target_input_BT, encoded, need_weights=True)
    state = model.decoder.start(encoded)
    for position, token_B in enumerate(batch.target_input_BT.unbind(1)):
        output = model.decoder.step(token_B, state, need_weights=True)
        assert_close(output.logits_NV, model.decoder.output(fast.features_BTD[:, position]))
        assert_close(output.weights_NHS, None if fast.weights_BHTS is None else fast.weights_BHTS[:, :, position])
        state = output.state
    first, state = model.decoder.advance(batch.target_input_BT[:, :3], model.decoder.start(encoded), need_weights=True)
    second, _ = model.decoder.advance(batch.target_input_BT[:, 3:], state, need_weights=True)
    assert_close(torch.cat((first.features_BTD, second.features_BTD), dim=1), fast.features_BTD)
    if fast.weights_BHTS is None:
        assert first.weights_BHTS is second.weights_BHTS is None
    else:
        assert_close(torch.cat((first.weights_BHTS, second.weights_BHTS), dim=2), fast.weights_BHTS)


@pytest.mark.quick("default *")
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


@pytest.mark.quick("default *", "language *", "odd memory")
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
    tokens = torch.randint(4, 16, (len(rows), 1), generator=random)
    history_NT = torch.cat((history_NT, tokens), 1)
    output, _ = model.decoder.advance(history_NT[:, -2:], state, need_weights=True)

    origin_N = sentences.repeat_interleave(BEAM)
    encoded = model.encode(batch.source_BS[origin_N], batch.source_length_B[origin_N])
    unrolled = model.decoder.unroll(history_NT, encoded, need_weights=True)
    assert_close(output.features_BTD, unrolled.features_BTD[:, -2:])
    assert_close(output.weights_BHTS, None if unrolled.weights_BHTS is None else unrolled.weights_BHTS[:, :, -2:])


@pytest.mark.quick("default *", "language *", "odd memory")
@torch.no_grad()
def test_two_continuations_of_a_state_leave_each_other_alone(model: Seq2Seq, batch: Batch) -> None:
    """After three tokens the cache of a Transformer has room behind its slots, where both would write."""

    def read(tokens: Sequence[int], state: State) -> StepOutput:
        for token in tokens:
            output = model.step(torch.full_like(batch.source_length_B, token), state)
            state = output.state
        return output

    start = model.start(batch.source_BS, batch.source_length_B)
    shared = read([4, 5, 6], start).state
    continued = {token: read([token], shared).state for token in (7, 8)}
    for token, state in continued.items():
        assert_close(read([9], state).logits_NV, read([4, 5, 6, token, 9], start).logits_NV)


@torch.no_grad()
def test_logits_of_some_rows_are_those_among_all(model: Seq2Seq, batch: Batch) -> None:
    state = model.decoder.start(model.encode(batch.source_BS, batch.source_length_B))
    token_B, rows = batch.target_input_BT[:, 0], torch.tensor([2, 0])
    output, expected = model.step(token_B, state, rows=rows), model.step(token_B, state)
    assert_close(output.logits_NV, expected.logits_NV[rows])
    assert_close(model.step(token_B, output.state).logits_NV, model.step(token_B, expected.state).logits_NV)


@torch.no_grad()
def test_neither_batch_mates_nor_what_stands_in_the_padding_change_anything(
    model: Seq2Seq, batch: Batch, sentence_pairs: list[tuple[list[int], list[int]]], joint_vocabularies: Vocabularies
) -> None:
    model = deepcopy(model).double()  # halting and rectifiers amplify what float32 rounds differently
    source_real = length_mask(batch.source_length_B, batch.source_BS.shape[1])
    target_real = length_mask(batch.target_length_B, batch.target_input_BT.shape[1])
    garbage = replace(
        batch,
        source_BS=torch.where(source_real, batch.source_BS, 11),
        target_input_BT=torch.where(target_real, batch.target_input_BT, 12),
    )
    together, weights_BHTS = run(model, garbage)
    for row, (source, target) in enumerate(sentence_pairs):
        alone, own_weights = run(model, make_batch([(source, target)], joint_vocabularies))
        assert_close(together[row, : len(target) + 1], alone[0])
        if weights_BHTS is not None:
            assert_close(weights_BHTS[row, :, : len(target) + 1, : len(source) + 1], own_weights[0])


@pytest.mark.quick("default *", "language *", "odd memory")
@torch.no_grad()
def test_the_output_depends_on_the_source_and_not_on_the_future(model: Seq2Seq, batch: Batch) -> None:
    logits, _ = run(model, batch)
    source = batch.source_BS.clone()
    source[torch.arange(3), batch.source_length_B[:3] - 2] = 14
    encoded = model.encode(source, batch.source_length_B)
    changed = model.decoder.output(model.decoder.unroll(batch.target_input_BT, encoded).features_BTD)
    differs_B = (changed - logits)[:3].abs().amax((1, 2)) > 1e-5
    assert differs_B.all() if model.encoder.memory_sizes else not differs_B.any()

    target = batch.target_input_BT.clone()
    target[:, 2:] = 15
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    changed = model.decoder.output(model.decoder.unroll(target, encoded).features_BTD)
    assert_close(changed[:, :2], logits[:, :2])
    ignores_history = type(model.decoder).__name__ == "Classifier"
    assert torch.allclose(changed[:, 2], logits[:, 2], atol=1e-4) == ignores_history


def test_gradients_reach_every_parameter_also_after_a_search(
    model: Seq2Seq, batch: Batch, joint_vocabularies: Vocabularies
) -> None:
    """Validation runs in inference mode; nothing that it leaves in the model may stop the next update."""
    search_all(model, [[4, 5], [6]], joint_vocabularies, DecodingOptions(beam_size=2, max_length_extra=2))
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


@pytest.mark.quick("default *", "odd memory")
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
    heads = model.decoder.heads
    assert len({head.name for head in heads}) == len({head.short_name for head in heads}) == len(heads)
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
