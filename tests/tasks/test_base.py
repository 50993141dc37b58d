"""The choice of a task by a recipe, what tasks refuse, and a task of an outside package."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.search import search_batch
from nmt.recipe import registry
from nmt.recipe.schema import Recipe
from nmt.tasks import choose_task, task_of
from nmt.tasks.base import Task
from nmt.training.resolve import resolve

RECIPE: dict[str, Any] = {
    "data": {"source": "a", "target": "b", "max_length": 20},
    "vocabulary": {"type": "word", "joint": False},
    "model": {
        "embedding_size": 16,
        "encoder": {"type": "recurrent", "hidden_size": 16},
        "decoder": {"type": "luong", "hidden_size": 32},
    },
    "training": {"max_steps": 200, "learning_rate": 0.02, "batch_tokens": 200, "log_every": 1000, "precision": "fp32"},
    "device": "cpu",
}


def recipe_of(**changes: dict[str, Any]) -> Recipe:
    parts = ("data", "model", "training")
    return Recipe.model_validate({part: {**RECIPE[part], **changes.get(part, {})} for part in parts})


def test_the_target_of_a_dialogue_is_its_current_turn() -> None:
    vocabulary = WordVocabulary(["▁a", "▁b", "▁c"])
    for data, expected in (({"history_turns": 2}, "b c"), ({}, "a\tb c")):
        ids = task_of(recipe_of(data=data)).encode_target(vocabulary, "a\tb c")
        assert ids == vocabulary.encode(expected)


@pytest.mark.parametrize(
    ("changes", "name", "metric"),
    [
        ({}, "translation", "bleu"),
        ({"data": {"history_turns": 2}}, "dialogue", "bleu"),
        ({"model": {"encoder": None}}, "language_model", "loss"),
    ],
)
def test_a_recipe_has_one_task_which_names_the_metric(changes: dict[str, Any], name: str, metric: str) -> None:
    recipe = recipe_of(**changes)
    assert choose_task(recipe).name == name
    resolved = resolve(recipe)
    assert task_of(resolved).name == name
    assert resolved.training.metric == metric


def test_a_task_that_is_named_must_be_there() -> None:
    with pytest.raises(UserError, match="there is no task 'taging'") as caught:
        resolve(recipe_of().model_copy(update={"task": "taging"}))
    assert "--plugin" in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "feature", "message"),
    [
        ({"data": {"history_turns": 2}}, "export", "dialogues are not exported"),
        ({"data": {"history_turns": 2}}, "synthesis", "one turn of several"),
        ({"model": {"encoder": None}}, "translation", "reads no source"),
    ],
)
def test_a_feature_that_does_not_go_with_a_task_is_refused(changes: dict[str, Any], feature: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        task_of(recipe_of(**changes)).require(feature)
    assert caught.value.remedy
    task_of(recipe_of()).require(feature)  # translation can do all of them


class OneEach(LogitsProcessor):
    """Ends each output where its source ends."""

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        is_early_N = tokens_Nt.shape[1] - 1 < batch.source_length_B[sentence_N] - 1
        logits_NV[is_early_N, batch.target.eos] = -inf


class Tagging(Task):
    """Each word of the source gets one tag."""

    name = "tagging"
    default_metric = "loss"
    refused = {"serving": ("Tags are no translations.", "Use `nmt translate`.")}  # noqa: RUF012

    def check_vocabularies(self, vocabularies: Vocabularies, where: str) -> None:
        if vocabularies.target.encode("two words") == vocabularies.target.encode("one"):
            raise AssertionError

    def search(
        self, batch: SearchBatch, processors: Sequence[LogitsProcessor], constraints: Sequence[LexicalConstraints]
    ) -> list[list[Hypothesis]]:
        of_length = replace(batch, limit_B=batch.source_length_B)
        return search_batch(of_length, [*processors, OneEach(None, batch.vocabularies)], constraints)


@pytest.mark.slow
def test_a_task_from_outside_is_one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", list(registry._added))
    nmt.register("task", "tagging")(Tagging)
    draw = torch.Generator().manual_seed(1)
    sources = [["ab"[i] for i in torch.randint(2, (1 + n % 6,), generator=draw)] for n in range(300)]
    pairs = [(" ".join(words), " ".join("X" if word == "a" else "Y" for word in words)) for words in sources]
    recipe = Recipe.model_validate({**RECIPE, "task": "tagging"})
    run = nmt.train(recipe, tmp_path / "model", pairs=pairs)
    assert "task: tagging" in (run / "recipe.yaml").read_text()
    tagger = nmt.load(run, "cpu")
    assert isinstance(tagger.task, Tagging)
    lines = ["a", "b b a", "a b a b a b b", "a a a a a a a a a a a a"]
    found = [translation.text.split() for translation in tagger.translate(lines)]
    assert [len(tags) for tags in found] == [len(line.split()) for line in lines]
    assert found[1] == ["Y", "Y", "X"]
    with pytest.raises(UserError, match="Tags are no translations"):
        tagger.task.require("serving")
