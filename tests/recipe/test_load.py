"""Recipes: shipped ones work, misspelt ones are told what to write instead."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from extensions import skipped_without_its_extension

from nmt.core.errors import UserError
from nmt.recipe.load import default_output, find_recipe, is_recipe, load_recipe, parse_settings, shipped_recipes
from nmt.recipe.options import Options
from nmt.training.resolve import resolve

MINIMAL = """\
data: {source: de, target: en}
model:
  encoder: {type: recurrent}
  decoder: {type: luong, attention: {type: general}}
training: {max_steps: 10}
"""
BOMB = "a0: &a0 [x, x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n}, ' * 9}]\n" for n in range(9))


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


@pytest.mark.quick("multi30k/*", "systems/*")
@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_resolves_and_survives_being_written(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    with skipped_without_its_extension():
        resolved = resolve(recipe)
    (tmp_path / "recipe.yaml").write_text(resolved.to_yaml(), encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml") == resolved
    assert resolve(resolved) == resolved


@pytest.mark.parametrize(
    "name", ["multi30k/transformer", "multi30k/transformer.yaml", "recipes/multi30k/transformer.yaml"]
)
def test_a_shipped_recipe_is_found_from_any_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe(name).name == "transformer.yaml"


def test_a_shipped_recipe_is_one_beside_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nmt quickstart` writes such a folder."""
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_recipe(["quickstart"])
    assert not is_recipe(["./quickstart"])


def test_a_missing_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"(?s)no recipe 'multi30k/transfromer'.*Did you mean 'multi30k/transformer'"):
        load_recipe("multi30k/transfromer")
    with pytest.raises(UserError, match=r"no recipe 'mine.yaml'.*\nCheck the path, choose one"):
        load_recipe("mine.yaml")
    with pytest.raises(UserError, match=r"There is no recipe 'xxx.*…"):
        load_recipe("x" * 100_000)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("trainig.max_steps=1", ["unknown key 'trainig'", "Did you mean 'training'?"]),
        ("data.train={sorce: a, target: b}", ["unknown key 'data.train.sorce'", "Did you mean 'source'?"]),
        ("model.encoder.hiden_size=3", ["unknown key 'hiden_size'", "Did you mean 'hidden_size'?"]),
        ("model.decoder.attention={type: general, size: 3}", ["unknown key 'size'", "it has no keys."]),
        ("training.max_steps=many", ["mine.yaml: 'training.max_steps' is 'many'", "stop after this many updates"]),
        ("training.max_steps=0", ["mine.yaml: 'training.max_steps' is 0", "greater than or equal to 1"]),
        ("training.max_steps=", ["would never end: set one of max_steps, max_epochs, max_minutes, patience"]),
        ("training.learning_rate=nan", ["mine.yaml: 'training.learning_rate' is 'nan'"]),
        ("data.source=[de]", ["mine.yaml: 'data.source' is ['de']", "valid string", "source language"]),
        ("training=5", ["mine.yaml: 'training' is 5", "group of keys"]),
        ("training.techniques.subword_sampling=1", ["subword_sampling' is 1: this must be a group of keys\nCorrect"]),
        ("vocabulary.byte_fallback=7", ["'vocabulary.byte_fallback' is 7", "boolean", "unknown characters as bytes"]),
        ("vocabulary.type=unigramm", ["vocabulary.type: there is no vocabulary 'unigramm'", "Did you mean 'unigram'?"]),
        ("decoding.length_penalty=averag", ["decoding.length_penalty: there is no length penalty 'averag'"]),
        ("decoding.logits_processors.no_repeat.size=3", ["no logits processor 'no_repeat'", "mean 'no_repeat_ngram'?"]),
        ("decoding.logits_processors.no_repeat_ngram.size=0", ["processors.no_repeat_ngram", "'size' is 0"]),
        ("training.techniques={subword_sampling: {}}", ["--set training.techniques.subword_sampling.alpha=VALUE"]),
        ("max_steps=5", ["unknown key 'max_steps'", "Did you mean 'training.max_steps'?"]),
        ("training.beam_size=5", ["unknown key 'training.beam_size'", "Did you mean 'decoding.beam_size'?"]),
        ("model.encoder.type=gru", ["there is no encoder 'gru'", "'gru' is of the kind cell, which has a key"]),
        ("training.max_updates=5", ["unknown key 'training.max_updates'", "Did you mean 'max_steps'?"]),
        ("training.metric=blue", ["no metric 'blue'", "Did you mean 'bleu'?"]),
        ("training.optimizer=sgd", ["training.optimizer.type: there is no optimizer 'sgd'"]),
        ("training.optimizer={betas: [0.9, x]}", ["training.optimizer: 'betas.1' is 'x'", "valid number"]),
        (
            "training.optimizer={type: adam, momentum: 0.5}",
            [
                "training.optimizer: unknown key 'momentum'",
                "is replaced, with any type, by --set 'training.optimizer={…}'.",
            ],
        ),
        ("training.schedule=linear", ["there is no schedule 'linear'"]),
        ("training.schedule={type: cosine, stable_fraction: 1}", ["less than 1"]),
        ("training={schedule: cosine, patience: 3}", ["'cosine' must know its end"]),
        ("seed.deep=3", ["'seed' is {'deep': 3}"]),
        ("training.max_steps.more=3", ["'max_steps' is a value, not a group"]),
        ("training.max_steps", ["has no '='"]),
        ("=3", ["has no '='"]),
        ("training.optimizer.betas=[0.9", ["the value is not YAML"]),
    ],
)
def test_a_mistake_is_explained_by_key_value_and_meaning(recipe_file: Path, setting: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        resolve(load_recipe(recipe_file, parse_settings([setting])))
    for part in parts:
        assert part in str(caught.value)


def test_an_option_that_is_gone_is_read_as_0_alone(recipe_file: Path) -> None:
    assert load_recipe(recipe_file, {"model.word_dropout": 0.0}) == load_recipe(recipe_file)
    with pytest.raises(UserError, match="word_dropout"):
        load_recipe(recipe_file, {"model.word_dropout": 0.1})


def test_a_missing_key_is_named(recipe_file: Path) -> None:
    recipe_file.write_text(MINIMAL.replace("source: de, ", ""))
    with pytest.raises(UserError, match=r"(?s)'data\.source' is missing.*--set data\.source="):
        load_recipe(recipe_file)
    assert load_recipe(recipe_file, {"data.source": "fr"}).data.source == "fr"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("data:\n  source: de\n target: en\n", r"mine\.yaml, line 3: the YAML can't be read"),
        ("data: {source: de\n", r"mine\.yaml, line 2: the YAML can't be read"),
        ("a: \udcff\n", r"mine\.yaml is not UTF-8"),
        ("just some text\n", "holds no keys"),
        ("a: !!python/object/apply:os.system ['true']\n", r"mine\.yaml, line 1: the YAML can't be read"),
        (BOMB, r"aliases \(\*\) are not allowed"),
        ("a: " + "[" * 500 + "]" * 500, "more than 50 levels of nesting"),
        ("a: [" + "1, " * 30_000 + "]", "more than 20,000 keys and values"),
        ("a: " + "x" * 2_000_000, "more than 1,048,576 characters"),
        ("seed: !!int abc", "'abc' is not of the type int"),
        ("seed: !!timestamp 1", "timestamp"),
        ('description: "\\ud800"', "characters that text can't have"),
        (f"{MINIMAL}? {'x' * 100_000}\n: 1", "unknown key 'xxx"),
        (f"{MINIMAL}format_version: 2\nquantum: true\n", r"(?s)version 2; this nmt reads up to 1.*upgrade nmt"),
    ],
)
def test_what_is_not_a_recipe_is_refused_with_a_short_message(recipe_file: Path, content: str, problem: str) -> None:
    recipe_file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=problem) as caught:
        load_recipe(recipe_file)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("seed", 2**32, "at most 2,147,483,647"),
        ("data.task", {"type": "copy", "max_length": 10**18}, "less than or equal to 10000"),
        ("model.encoder.hidden_size", 10**18, "less than or equal to 100000"),
        ("decoding.prune", 1e200, r"between 1\.2e-38 and 3\.4e\+38"),
        ("decoding.temperature", 1e-200, r"between 1\.2e-38 and 3\.4e\+38"),
        ("training.optimizer", {"type": "adam", "betas": [0.9, 1e-200]}, r"between 1\.2e-38 and 3\.4e\+38"),
        ("data.source", "x" * 100_000, "at most 1,000 characters"),
        ("data.root", "x" * 100_000, "names 255"),
        ("vocabulary.path", "x/" * 3000, "at most 4,096 characters"),
        ("model.encoder.type", "x" * 100_000, "there is no encoder 'xxx"),
        ("x" * 100_000, 1, "unknown key 'xxx"),
    ],
)
def test_an_impossible_value_is_refused_with_a_short_message(
    recipe_file: Path, key: str, value: Any, problem: str
) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        resolve(load_recipe(recipe_file, {key: value}))
    assert len(str(caught.value)) < 10_000
    assert key.split(".")[-1][:50] in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("training.learning_rate=1e-3", 0.001),
        ("training.max_steps=1e3", 1000),
        ("training.clip_norm=", None),
        ("training.optimizer.betas=[0.8, 1e-1]", [0.8, 0.1]),
        ("data.source=no", "no"),
        ("data.source=nan", "nan"),
        ("data.source=de=x", "de=x"),
        (" data.source = fr", "fr"),
        ("data.root=some/folder", Path("some/folder")),
        ("data.hub='123'", "123"),
        ("model.decoder.attention.type=dot", "dot"),
    ],
)
def test_settings_are_read_as_yaml(recipe_file: Path, setting: str, value: Any) -> None:
    found: Any = load_recipe(recipe_file, parse_settings([setting]))
    for key in setting.partition("=")[0].strip().split("."):
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == value
    assert type(found) is type(value) or isinstance(value, Path)


def test_a_later_setting_wins(recipe_file: Path) -> None:
    assert load_recipe(recipe_file, parse_settings(["seed=3", "seed=4"])).seed == 4
    again = ["model.encoder.cell=gru", "model.encoder={type: ntm}", "model.encoder.cell=lstm"]
    assert load_recipe(recipe_file, parse_settings(again)).model.encoder == {"type": "ntm", "cell": "lstm"}


def test_overrides_are_python_values_and_stay_as_they_are(recipe_file: Path) -> None:
    encoder = {"type": "recurrent"}
    found = load_recipe(recipe_file, {"model.encoder": encoder, "model.encoder.cell": "gru", "data.root": Path("a")})
    assert found.model.encoder == {"type": "recurrent", "cell": "gru"}
    assert found.data.root == Path("a")
    assert load_recipe(found, {"training.lora": None, "training.lora.rank": 3}).training.lora is not None
    assert encoder == {"type": "recurrent"}


def all_options(kind: type[Options] = Options) -> Iterator[type[Options]]:
    """The options classes of nmt itself; ``nmt.models.build`` has imported those of every component."""
    for child in kind.__subclasses__():
        if child.__module__.startswith("nmt."):
            yield child
        yield from all_options(child)


def test_every_key_is_described() -> None:
    """Messages about a wrong value end with what the key means."""
    keys = {(kind.__qualname__, name): field for kind in all_options() for name, field in kind.model_fields.items()}
    assert ("TransformerOptions", "num_heads") in keys
    assert [key for key, field in keys.items() if not field.description] == []


def test_a_model_directory_is_called_after_the_recipe() -> None:
    assert default_output("multi30k/luong") == default_output(Path("my/luong.yaml")) == Path("runs/luong")
    with pytest.raises(UserError, match="no name"):
        default_output(load_recipe("multi30k/luong"))
