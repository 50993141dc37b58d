"""The JSON schema accepts every shipped recipe and refuses what nmt refuses."""

import json
from typing import Any

import pytest
from fixture_types import RunNmt
from jsonschema import Draft202012Validator
from refusals import refused

from nmt.recipe import yaml12
from nmt.recipe.load import load_recipe, parse_settings, read_recipe, shipped_recipes


@pytest.fixture(scope="module")
def validator(run_nmt: RunNmt) -> Draft202012Validator:
    done = run_nmt("recipes", "--schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def recipe_with(*settings: str, base: str = "multi30k/bahdanau") -> dict[str, Any]:
    """The keys of a shipped recipe, changed without a check."""
    return read_recipe(base, parse_settings(settings))[1]


@pytest.mark.quick("multi30k/transformer", "systems/*")
@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name: str, validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(recipe_with(base=name))) == []


@pytest.mark.parametrize("name", ["multi30k/bahdanau", "algorithmic/chain_universal", "chat/hierarchical"])
def test_a_recipe_that_nmt_writes_is_valid(name: str, validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(yaml12.load(load_recipe(name).to_yaml()))) == []


@pytest.mark.parametrize(
    "setting",
    [
        "model.encoder=null",
        "model.decoder={type: bahdanau, attention: location}",
        "model.encoder={type: recurrent, cell: {type: gru}}",
        "training.batch_tokens=auto",
        "training.schedule={warmup_steps: 100}",
        "training.metric=loss",
        "training.techniques={subword_sampling: null, gradient_flow: {weight: 1}}",
        "decoding.mbr=chrf",
        "data.train={source: a.de, target: a.en}",
        "data.text={type: lexicon, path: lexicon.tsv}",
    ],
)
def test_other_forms_are_valid(setting: str, validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(recipe_with(setting))) == []


@pytest.mark.parametrize(
    "setting",
    [
        "training.max_step=3",
        "training.max_steps=0",
        "training.max_steps=many",
        "training.optimizer={type: adam, beta: 1}",
        "training.schedule={type: cosine, factor: 0.5}",
        "training.metric=blue",
        "training.techniques={subword_sampling: {alfa: 1}}",
        "model.encoder=transformer",
        "model.encoder={type: recurent}",
        "model.encoder={type: recurrent, cell: lsdm}",
        "model.encoder={type: recurrent, cell: {type: gru, forget_bias: 1}}",
        "model.decoder={type: bahdanau, attention: {type: dot, size: 3}}",
        "decoding.logits_processors={no_repeat_ngram: {sise: 3}}",
        "data.train={source: a.de}",
        "data.text={type: lexicon, file: lexicon.tsv}",
    ],
)
def test_wrong_keys_and_values_are_refused(setting: str, validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(recipe_with())) == []
    assert list(validator.iter_errors(recipe_with(setting)))


def test_keys_have_their_descriptions(validator: Draft202012Validator) -> None:
    definitions = validator.schema["$defs"]
    undescribed = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, value in definition["properties"].items()
        if not value.get("description") and key != "type"
    ]
    assert not undescribed
    assert len(definitions) > 40


def test_a_part_has_no_schema(run_nmt: RunNmt) -> None:
    refused(run_nmt("recipes", "--schema", "multi30k/luong"), "Leave out NAME")
