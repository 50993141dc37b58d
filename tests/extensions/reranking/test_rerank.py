"""Reranking by the formula, and weights that are tuned; the tag of the model of the other direction; refused lists."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fixture_types import RunNmt, TrainTiny
from refusals import refused

import nmt
from nmt.core.errors import UserError
from nmt.extensions.reranking.rerank import (
    Candidates,
    Weights,
    features,
    load_reverse,
    read_candidates,
    rerank,
    reverse_scores,
    tune,
)

GOOD = '{"source": "a", "n_best": [{"translation": "b"}]}'
CANDIDATES = [Candidates("a", ("x", "y", "z")), Candidates("b", ("u", "v w"))]
FEATURES = [
    np.array([[-1.0, -9, -3, 1], [-2, -5, -3, 1], [-3, -6, -0.5, 1]]),
    np.array([[-1.0, -1, -2, 1], [-1.5, -1, -np.inf, 2]]),
]


@pytest.mark.parametrize(
    "line",
    [
        "[" * 3000 + "]" * 3000, '{"source": ' + "[" * 3000 + "]" * 3000 + "}", "[]", "1", "{}",
        '{"source": "a", "n_best": 1}', '{"source": "a", "n_best": [{"translation": "\\ud800"}]}',
        '{"source": 1e400, "n_best": []}',
        '{"source": {}, "n_best": []}', '{"source": "a", "n_best": [{"translation": null}]}',
    ],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "nbest").write_text(f"{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match='nbest, line 2: not a JSON object with "source" and "n_best"'):
        list(read_candidates(str(tmp_path / "nbest")))


def test_the_last_feature_of_a_candidate_is_its_number_of_words() -> None:
    unread: Any = SimpleNamespace(score=lambda pairs: [None for _ in pairs])
    found = features([Candidates("x", ("one", "two three")), Candidates("y", ("", "你好"))], unread, None, None)
    assert [features_CF[:, -1].tolist() for features_CF in found] == [[1, 2], [0, 2]]
    assert np.isneginf(found[0][:, 0]).all()


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (Weights(0, 0, 0), ["x", "u"]),
        (Weights(0.5, 0, 0), ["y", "u"]),
        (Weights(0, 1, 0), ["z", "u"]),
        (Weights(0, 0, 1), ["x", "v w"]),  # the language model can't read it, and doesn't count
    ],
)
def test_the_best_candidate_has_the_highest_weighted_sum(weights: Weights, expected: list[str]) -> None:
    assert rerank(CANDIDATES, FEATURES, weights) == expected


def test_weights_are_tuned_by_bleu() -> None:
    texts = ("the old dog sleeps in the sun", "the old dog sleeps in a house", "an old cat")
    candidates = [Candidates("a", texts)]
    features = [np.array([[-1.0, -9, 0, 7], [-2, -5, 0, 7], [-3, -9, 0, 3]])]
    assert tune(candidates, features, [texts[0]]) == Weights(0, 0, 0)
    assert tune(candidates, features, [texts[1]]) == Weights(0.5, 0, 0)
    with pytest.raises(UserError, match="1 sentences with candidates, but 2 references"):
        tune(candidates, features, ["one", "two"])
    with pytest.raises(UserError, match="no sentences"):
        tune([], [], [])


def test_reranking_by_the_command(
    run_nmt: RunNmt, tiny_model: Path, language_model: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    nbest = tmp_path / "nbest.jsonl"
    run_nmt("translate", tiny_model, "-i", tiny_corpus / "val.de", "--n-best", 4, "--format", "jsonl", "-o", nbest)
    options = ("--language-model", language_model, "--lm-weight", 3, "--word-weight", 0)
    done = run_nmt("rerank", tiny_model, nbest, *options, check=True)
    translator, lm = nmt.load(tiny_model), nmt.load(language_model)
    for line, best in zip(nbest.read_text().splitlines(), done.stdout.splitlines(), strict=True):
        values = json.loads(line)
        pairs = [(values["source"], candidate["translation"]) for candidate in values["n_best"]]
        direct = [pair.log_probability or 0 for pair in translator.score(pairs)]
        prior = [pair.log_probability or 0 for pair in lm.score(pairs)]
        scores = {text: a + 3 * b for (_, text), a, b in zip(pairs, direct, prior, strict=True)}
        assert best == max(scores, key=lambda text: scores[text])
    tuned = run_nmt("rerank", tiny_model, nbest, "--language-model", language_model, "--tune", tiny_corpus / "val.en")
    assert "--channel-weight 0.0 --lm-weight" in tuned.stderr
    assert run_nmt("rerank", tiny_model, nbest).returncode == 2
    for option, message in (
        ("--channel", "translates from de to en, not from en to de"),
        ("--language-model", "is no"),
    ):
        refused(run_nmt("rerank", tiny_model, nbest, option, tiny_model), message)
    refused(run_nmt("rerank", language_model, nbest, "--language-model", language_model), "it reads no source")
    refused(run_nmt("rerank", tiny_model, nbest, *options, "-o", nbest), "it is an input, which would be lost")
    nbest.write_text("")
    assert run_nmt("rerank", tiny_model, nbest, *options).stdout == ""


def tagged_model(train_tiny: TrainTiny, corpus: Path, tags: list[str]) -> nmt.Translator:
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


def test_the_tag_is_the_one_that_the_source_does_not_have(train_tiny: TrainTiny, tiny_corpus: Path) -> None:
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
