"""The model of the other direction: its scores and its tag."""

from collections.abc import Callable
from pathlib import Path

import pytest

import nmt
from nmt.core.errors import UserError
from nmt.extensions.reranking.reverse import load_reverse, reverse_scores


def tagged_model(train_tiny: Callable[..., Path], corpus: Path, tags: list[str]) -> nmt.Translator:
    """A hardly trained model of a joint vocabulary, which has these tags."""
    sides = [("de", "en"), ("en", "de"), ("de", "de")]
    corpora = [
        f"{{name: c{number}, source: {corpus}/train.{source}, target: {corpus}/train.{target}, tag: {tag}}}"
        for number, (tag, (source, target)) in enumerate(zip(tags, sides, strict=False))
    ]
    return nmt.load(train_tiny(
        "data.root=null", f"data.corpora=[{', '.join(corpora)}]",
        f"data.valid={{source: {corpus}/val.de, target: {corpus}/val.en}}", "vocabulary.joint=true",
        "training.max_steps=2",
    ), "cpu")  # fmt: skip


def test_the_tag_is_the_one_that_the_source_does_not_have(train_tiny: Callable[..., Path], tiny_corpus: Path) -> None:
    both = tagged_model(train_tiny, tiny_corpus, ["<2en>", "<2de>"])
    assert both.directory is not None
    assert load_reverse(both, both.directory) is both
    found = list(reverse_scores(both, both, ["<2en> Der Hund", "<2de> a dog", "a"], ["a dog", "Der Hund", ""]))
    assert found == [*both.score([("<2de> a dog", "Der Hund"), ("<2en> Der Hund", "a dog")]), None]
    with pytest.raises(UserError, match="isn't known"):
        list(reverse_scores(both, both, ["Der Hund"], ["a dog"]))
    many = tagged_model(train_tiny, tiny_corpus, ["<2en>", "<2de>", "<2xx>"])
    with pytest.raises(UserError, match="Use a model of two languages"):
        list(reverse_scores(many, many, ["<2en> Der Hund"], ["a dog"]))
