"""Interventions against models whose weights were changed by hand, and those that change nothing."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from searches import search_all
from small_systems import RECURRENT, SYSTEMS, TRANSFORMER, WORDS, small_model

from nmt.decoding.forced import force_all
from nmt.decoding.hypotheses import Hypothesis
from nmt.extensions.lecture.interventions import (
    IntervenedModel,
    Intervention,
    force_stepwise,
    intervened,
    replaceable_attention,
    shared_copy,
    skippable_layers,
)
from nmt.models.layers import Layers
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions

UNIVERSAL = {"type": "universal_transformer", "num_heads": 2, "feed_forward_size": 24, "max_steps": 2}
ATTENTIVE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{name: parts for name, parts in SYSTEMS.items() if name != "vanilla"},
    "ssru": (TRANSFORMER, {"type": "ssru", "num_layers": 2, "num_heads": 2}),
    "universal": (UNIVERSAL, UNIVERSAL),
}
SOURCE = [4, 9, 7, 5, 12]
OPTIONS = DecodingOptions(beam_size=3, max_length_extra=6)


def search(model: Seq2Seq | IntervenedModel, count: int = 1) -> list[list[Hypothesis]]:
    return search_all(model, [SOURCE] * count, WORDS, OPTIONS)


def under(model: Seq2Seq, *changes: Intervention) -> list[list[Hypothesis]]:
    with intervened(model, changes) as changed:
        return search(changed, len(changes))


def assert_same(found: Sequence[Hypothesis], expected: Sequence[Hypothesis]) -> None:
    assert [each.ids for each in found] == [each.ids for each in expected]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)


@pytest.mark.quick("luong", "transformer", "bahdanau")
@pytest.mark.parametrize("name", ATTENTIVE)
def test_weights_that_a_head_has_already_change_no_number(name: str) -> None:
    model = small_model(*ATTENTIVE[name])
    before = search(model)
    for head in range(len(model.decoder.heads)):
        assert under(model, Intervention("head", head, heads=(head,))) == before
    assert under(model, Intervention("links", links=((), (), ()))) == before
    assert under(model, Intervention("off", step=99)) == before
    assert search(model) == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.quick("transformer")
@pytest.mark.parametrize("name", ["transformer", "post-norm", "ssru", "universal"])
def test_a_head_that_is_off_is_one_whose_output_has_no_weights(name: str) -> None:
    model = small_model(*ATTENTIVE[name])
    attentions = replaceable_attention(model.decoder)
    for number, (attention, head) in enumerate((module, h) for module in range(len(attentions)) for h in (0, 1)):
        changed = deepcopy(model)
        with torch.no_grad():
            replaceable_attention(changed.decoder)[attention].out.weight[:, 8 * head : 8 * head + 8] = 0
        [found] = under(model, Intervention("off", heads=(number,)))
        assert_same(found, search(changed)[0])
        assert found[0].score != search(model)[0][0].score


@pytest.mark.quick("bahdanau", "luong fed", "transformer")
@pytest.mark.parametrize("name", ATTENTIVE)
def test_equal_weights_are_those_of_a_score_that_is_always_zero(name: str) -> None:
    model = small_model(*ATTENTIVE[name])
    changed = deepcopy(model)
    for module in replaceable_attention(changed.decoder):
        for part in ("query", "score"):
            for parameter in getattr(module, part).parameters() if hasattr(module, part) else ():
                torch.nn.init.zeros_(parameter)
    [found] = under(model, Intervention("uniform"))
    assert_same(found, search(changed)[0])


@pytest.mark.quick("transformer")
@pytest.mark.parametrize("name", ["transformer", "post-norm"])
def test_a_layer_that_is_left_out_is_a_model_without_it(name: str) -> None:
    model = small_model(*ATTENTIVE[name])
    assert [(side, index) for side, index, _ in skippable_layers(model)] == [
        ("encoder", 0),
        ("encoder", 1),
        ("decoder", 0),
        ("decoder", 1),
    ]
    for side, index, _ in skippable_layers(model):
        changed = deepcopy(model)
        stack = getattr(changed, side)
        stack.layers = Layers(layer for n, layer in enumerate(stack.layers) if n != index)
        [found] = under(model, Intervention("skip", index, side=side))
        assert_same(found, search(changed)[0])


def test_a_batch_has_an_intervention_for_each_sentence_however_soon_it_ends() -> None:
    model = small_model(*ATTENTIVE["ssru"])
    changes = [
        Intervention(kind, to, step=step) for kind in ("off", "word", "uniform") for to in (1, 4) for step in (None, 1)
    ]
    changes += [Intervention("skip", 0), Intervention("skip", 1, side="encoder")]
    for change, found in zip(changes, under(model, *changes), strict=True):
        assert_same(found, under(model, change)[0])


@pytest.mark.parametrize("name", ATTENTIVE)
def test_the_weights_of_one_step_and_one_head_are_set(name: str) -> None:
    model = small_model(*ATTENTIVE[name])
    heads, last = len(model.decoder.heads), len(model.decoder.heads) - 1
    changes = [Intervention("word", 2, heads=(last,), step=1), Intervention("links", links=((), (0, 3)))]
    source_BS = torch.tensor([[*SOURCE, 3]] * 2)
    tokens = [torch.tensor([token, token]) for token in (2, 8, 9)]

    def steps(model: Any) -> list[Any]:
        outputs, state = [], model.start(source_BS, torch.tensor([6, 6]))
        for token in tokens:
            outputs.append(model.step(token, state, need_weights=True))
            state = outputs[-1].state
        return outputs

    with torch.inference_mode():
        own = steps(model)
        with intervened(model, changes) as changed:
            found = steps(changed)
    assert torch.equal(found[0].logits_NV, own[0].logits_NV)
    assert not torch.allclose(found[1].logits_NV, own[1].logits_NV, atol=1e-6)
    weights_HS = found[1].weights_NHS[0]
    torch.testing.assert_close(weights_HS[last], torch.eye(6)[2])
    assert heads == 1 or not torch.allclose(weights_HS[0], weights_HS[last])
    linked = torch.tensor([0.5, 0, 0, 0.5, 0, 0])
    torch.testing.assert_close(found[1].weights_NHS[1], linked.expand(heads, -1))
    for before, after in zip(own, found, strict=True):
        torch.testing.assert_close(after.weights_NHS.sum(2), before.weights_NHS.sum(2))


def test_the_weights_of_another_head_are_copied_within_its_layer() -> None:
    model = small_model(*ATTENTIVE["transformer"])
    with torch.inference_mode(), intervened(model, [Intervention("head", 3)]) as changed:
        state = changed.start(torch.tensor([[*SOURCE, 3]]), torch.tensor([6]))
        weights_HS = changed.step(torch.tensor([2]), state, need_weights=True).weights_NHS[0]
    assert torch.equal(weights_HS[2], weights_HS[3])
    assert not torch.equal(weights_HS[0], weights_HS[1])


@pytest.mark.parametrize("name", ATTENTIVE)
def test_forced_decoding_in_steps_is_forced_decoding(name: str) -> None:
    model, targets = small_model(*ATTENTIVE[name]), [[8, 9], [5, 6, 7, 8], []]
    expected = force_all(model, [(SOURCE, target) for target in targets], WORDS, 8)
    with intervened(model, [Intervention("links")] * 3) as changed:
        log_p_BT, top_BT2, top_log_p_BT2 = force_stepwise(changed, [(SOURCE, target) for target in targets], WORDS, 2)
    assert top_BT2.shape == top_log_p_BT2.shape == (3, 5, 2)
    for b, one in enumerate(expected):
        num_tokens = len(one.log_probability_T)
        torch.testing.assert_close(log_p_BT[b, :num_tokens], one.log_probability_T)
        assert not log_p_BT[b, num_tokens:].any()
        highest_T, second_T = top_log_p_BT2[b, :num_tokens].unbind(1)
        assert (highest_T >= second_T).all()
        torch.testing.assert_close(highest_T, one.log_probability_T - one.margin_T)


def test_a_shared_copy_has_the_same_weights_and_hooks_of_its_own() -> None:
    model = small_model(*ATTENTIVE["luong"])
    copied = shared_copy(model)
    pairs = list(zip(model.parameters(), copied.parameters(), strict=True))
    assert pairs
    assert all(a is b for a, b in pairs)
    with intervened(copied, [Intervention("off")]):
        before = search(model)
    assert before == search(copied)


@pytest.mark.parametrize(
    "decoder",
    [{**RECURRENT, "type": "bahdanau", "attention": {"type": "hierarchical"}}, {**RECURRENT, "type": "ntm"}, RECURRENT],
)
def test_attention_that_is_not_one_softmax_is_left_alone(decoder: dict[str, Any]) -> None:
    encoder = {**RECURRENT, "type": "hierarchical"} if "attention" in decoder else RECURRENT
    model = small_model(encoder, decoder)
    assert replaceable_attention(model.decoder) == []
    assert skippable_layers(model) == []
