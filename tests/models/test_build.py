"""From a recipe's mapping to a network: what is shared, and what a user reads when options don't fit."""

import re
from itertools import product
from typing import Any

import pytest
import torch

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import build, num_parameters
from nmt.models.cells import CELLS
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import ModelOptions

RECURRENT = {"type": "recurrent", "hidden_size": 8}
BAHDANAU = {"type": "bahdanau", "hidden_size": 8}
TRANSFORMER = {"type": "transformer", "num_layers": 1, "num_heads": 2, "feed_forward_size": 8}


def refused(vocabularies: Vocabularies, encoder: Any, decoder: Any, message: str, remedy: str, **others: Any) -> None:
    options = ModelOptions(encoder=encoder, decoder=decoder, **{"embedding_size": 8, **others})
    with pytest.raises(UserError, match=rf"{message}.*\n.*{re.escape(remedy)}."):
        build(options, vocabularies)


@pytest.mark.parametrize(
    ("encoder", "decoder", "message", "remedy"),
    [
        ({"type": "recurent"}, BAHDANAU, r"model\.encoder\.type: there is no encoder 'recurent'", "'recurrent'"),
        (RECURRENT, {"type": "Bahdanau"}, r"model\.decoder", "'bahdanau'"),
        (RECURRENT, {**BAHDANAU, "attention": {"type": "aditive"}}, r"model\.decoder\.attention", "'additive'"),
        *(
            (RECURRENT, {"type": kind}, r"model\.decoder\.type", "recurrent")
            for kind in ("xyz", 7, ["recurrent"], {"recurrent": 1})
        ),
        *(
            (RECURRENT, {**BAHDANAU, "attention": {"type": score}}, r"\b(16\b.*\b8|8\b.*\b16)\b", "")
            for score in ("dot", "scaled_dot")
        ),
        (RECURRENT, {**BAHDANAU, "bridge": "copy"}, "hidden_size 16", ""),
        ({**TRANSFORMER, "num_heads": 3}, TRANSFORMER, r"\b8\b.*3 heads", ""),
        *((RECURRENT, {**RECURRENT, "bridge": start}, f"bridge: {start}", "") for start in ("zero", "learned")),
        *(
            ({**RECURRENT, "cell": cell}, BAHDANAU, rf"^model\.encoder\.cell: .*{problem}", remedy)
            for cell, problem, remedy in (
                ({"type": "lstm", "init": "identity"}, "'init' is 'identity'", "'init'"),
                ({"type": "rnn_tanh", "spectral_radius": 0}, "'spectral_radius' is 0", "'spectral_radius'"),
                ({"type": "gru", "inti": "orthogonal"}, "unknown key 'inti'", "'init'"),
            )
        ),
    ],
)
def test_parts_that_do_not_exist_or_do_not_fit_are_refused(
    joint_vocabularies: Vocabularies, encoder: Any, decoder: Any, message: str, remedy: str
) -> None:
    refused(joint_vocabularies, encoder, decoder, message, remedy)


def test_tying_all_needs_a_joint_vocabulary(separate_vocabularies: Vocabularies) -> None:
    refused(separate_vocabularies, TRANSFORMER, TRANSFORMER, "tie", "vocabulary.joint", tie="all")


def test_tied_weights_are_the_same_tensor_and_counted_once(
    joint_vocabularies: Vocabularies, separate_vocabularies: Vocabularies, make_model: Any
) -> None:
    chosen = {"none": separate_vocabularies, "target": separate_vocabularies, "all": joint_vocabularies}
    models = {
        tie: make_model(TRANSFORMER, TRANSFORMER, vocabularies=vocabularies, tie=tie)
        for tie, vocabularies in chosen.items()
    }
    for tie, model in models.items():
        source, target = model.encoder.embedding.weight, model.decoder.embedding.weight
        assert (target is model.decoder.output.weight_VD) == (tie != "none")
        assert (source is target) == (tie == "all")
    num_shared = models["target"].decoder.embedding.weight.numel()
    assert models["none"].num_parameters - models["target"].num_parameters == num_shared


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        (TRANSFORMER, TRANSFORMER),
        *(
            ({**RECURRENT, "cell": {"type": kind, "init": init}}, {**BAHDANAU, "cell": {"type": kind, "init": init}})
            for kind, init in product(("lstm", "peephole"), ("orthogonal", "spectral"))
            if kind in CELLS
        ),
    ],
    ids=str,
)
def test_xavier_leaves_embeddings_output_and_what_a_cell_chose(make_model: Any, encoder: Any, decoder: Any) -> None:
    plain, xavier = (make_model(encoder, decoder, init=init) for init in ("torch", "xavier"))
    left = ("embedding", "output", "hidden_weight", "weight_hh")
    for (name, before), after in zip(plain.named_parameters(), xavier.parameters(), strict=True):
        is_left = before.dim() == 1 or any(part in name for part in left)
        assert torch.equal(before, after) == is_left, name
        bound = (6 / sum(after.shape)) ** 0.5
        assert is_left or 0.8 * bound < after.abs().max().item() <= bound, name


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
