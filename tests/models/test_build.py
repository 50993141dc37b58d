"""From a recipe's mapping to a network: what is shared, and what a user reads when options don't fit."""

from typing import Any

import pytest
import torch

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import build, num_parameters
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import ModelOptions

RECURRENT = {"type": "recurrent", "hidden_size": 8}
BAHDANAU = {"type": "bahdanau", "hidden_size": 8}
TRANSFORMER = {"type": "transformer", "num_layers": 1, "num_heads": 2, "feed_forward_size": 8}


def refused(vocabularies: Vocabularies, encoder: dict[str, Any], decoder: dict[str, Any], **others: Any) -> UserError:
    options = ModelOptions(encoder=encoder, decoder=decoder, **{"embedding_size": 8, **others})
    with pytest.raises(UserError) as caught:
        build(options, vocabularies)
    assert caught.value.remedy
    return caught.value


def test_a_misspelt_type_gets_a_suggestion(joint_vocabularies: Vocabularies) -> None:
    error = refused(joint_vocabularies, {"type": "recurent"}, BAHDANAU)
    assert "model.encoder.type: there is no encoder 'recurent'" in error.message
    assert "'recurrent'" in error.remedy
    error = refused(joint_vocabularies, RECURRENT, {"type": "Bahdanau"})
    assert "model.decoder" in error.message
    assert "'bahdanau'" in error.remedy
    error = refused(joint_vocabularies, RECURRENT, {**BAHDANAU, "attention": {"type": "aditive"}})
    assert "model.decoder.attention" in error.message
    assert "'additive'" in error.remedy


@pytest.mark.parametrize("kind", ["xyz", 7, ["recurrent"], {"recurrent": 1}])
def test_an_unknown_type_lists_the_known_ones(joint_vocabularies: Vocabularies, kind: Any) -> None:
    error = refused(joint_vocabularies, RECURRENT, {"type": kind})
    assert "model.decoder.type" in error.message
    assert "recurrent" in error.remedy


@pytest.mark.parametrize("score", ["dot", "scaled_dot"])
def test_dot_attention_needs_equal_widths(joint_vocabularies: Vocabularies, score: str) -> None:
    error = refused(joint_vocabularies, RECURRENT, {**BAHDANAU, "attention": {"type": score}})
    assert "16" in error.message
    assert "8" in error.message


def test_copying_a_state_needs_equal_widths(joint_vocabularies: Vocabularies) -> None:
    error = refused(joint_vocabularies, RECURRENT, {**BAHDANAU, "bridge": "copy"})
    assert "hidden_size 16" in error.message


def test_heads_must_divide_the_width(joint_vocabularies: Vocabularies) -> None:
    error = refused(joint_vocabularies, {**TRANSFORMER, "num_heads": 3}, TRANSFORMER)
    assert "8" in error.message
    assert "3 heads" in error.message


def test_a_decoder_that_would_never_hear_the_source_is_refused(joint_vocabularies: Vocabularies) -> None:
    for start in ("zero", "learned"):
        error = refused(joint_vocabularies, RECURRENT, {**RECURRENT, "bridge": start})
        assert f"bridge: {start}" in error.message


def test_tying_all_needs_a_joint_vocabulary(separate_vocabularies: Vocabularies) -> None:
    error = refused(separate_vocabularies, TRANSFORMER, TRANSFORMER, tie="all")
    assert "tie" in error.message
    assert "vocabulary.joint" in error.remedy


def test_tied_weights_are_the_same_tensor_and_counted_once(
    joint_vocabularies: Vocabularies, separate_vocabularies: Vocabularies, make_model: Any
) -> None:
    models = {
        "none": make_model(TRANSFORMER, TRANSFORMER, separate_vocabularies, tie="none", embedding_size=8),
        "target": make_model(TRANSFORMER, TRANSFORMER, separate_vocabularies, tie="target", embedding_size=8),
        "all": make_model(TRANSFORMER, TRANSFORMER, joint_vocabularies, tie="all", embedding_size=8),
    }
    for tie, model in models.items():
        source, target = model.encoder.embedding.weight, model.decoder.embedding.weight
        assert (target is model.decoder.output.weight_VD) == (tie != "none")
        assert (source is target) == (tie == "all")
    num_target = len(separate_vocabularies.target)
    assert models["none"].num_parameters - models["target"].num_parameters == num_target * 8
    with torch.no_grad():
        models["all"].encoder.embedding.weight[5] += 1
    assert torch.equal(models["all"].decoder.output.weight_VD, models["all"].encoder.embedding.weight)


def test_xavier_leaves_embeddings_and_output_as_they_are(make_model: Any) -> None:
    plain, xavier = (make_model(TRANSFORMER, TRANSFORMER, init=init, seed=3) for init in ("torch", "xavier"))
    for (name, before), after in zip(plain.named_parameters(), xavier.parameters(), strict=True):
        kept = before.dim() == 1 or "embedding" in name or "output" in name
        assert torch.equal(before, after) == kept, name
    weight = xavier.encoder.layers[0].feed_forward.inner.weight
    assert weight.abs().max().item() == pytest.approx((6 / sum(weight.shape)) ** 0.5, rel=0.05)


def test_a_model_is_counted_without_being_built(joint_vocabularies: Vocabularies) -> None:
    options = load_recipe("quickstart").model
    state = torch.get_rng_state()
    count = num_parameters(options, joint_vocabularies)
    assert torch.equal(torch.get_rng_state(), state)
    assert count == sum(parameter.numel() for parameter in build(options, joint_vocabularies).parameters())


def test_a_model_that_memory_cannot_hold_is_refused(
    joint_vocabularies: Vocabularies, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = load_recipe("multi30k/luong").model
    huge = load_recipe("multi30k/luong", {"model.encoder.hidden_size": 100_000}).model
    memory = 8 * (num_parameters(options, joint_vocabularies) or 0)
    monkeypatch.setattr("nmt.models.build.total_memory", lambda: memory)
    build(options, joint_vocabularies)
    for model, num_copies, message in (
        (options, 4, r"The weights, gradients and moments of this model need 0\.\d GB; this machine has 0\.\d GB"),
        (huge, 1, r"(?s)The weights of this model need 32\d\.\d GB.*Lower model\.embedding_size"),
    ):
        with pytest.raises(UserError, match=message):
            build(model, joint_vocabularies, num_copies)
