"""The recorded tree of a beam search against a search by hand, and results with and without a recorder."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from searches import search_all
from table_model import TableModel

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.constraints import LexicalConstraints
from nmt.extensions.lecture.recording import BeamRecorder, SearchTree
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions

VOCABULARY = WordVocabulary(["▁a", "▁b"])
EOS, A, B = 3, 4, 5
SOURCES = [[4, 9, 7, 5, 12], [10, 4], [8, 6, 14, 13, 5, 11, 7, 10, 17]]
MARKOV = {2: {A: 0.6, B: 0.3, EOS: 0.1}, A: {A: 0.2, B: 0.5, EOS: 0.3}, B: {A: 0.1, B: 0.1, EOS: 0.8}}
"""Probability of each token after the one before; 2 is SOS."""


def bigrams(source: tuple[int, ...], tokens: tuple[int, ...]) -> list[float]:
    return [math.log(MARKOV.get(tokens[-1], MARKOV[B]).get(i, 1e-9)) for i in range(6)]


def recorded(**options: Any) -> SearchTree:
    recorder, model, both = BeamRecorder(EOS), TableModel(bigrams), Vocabularies(VOCABULARY, VOCABULARY)
    settings = DecodingOptions(length_penalty="none", early_stopping="first", **options)
    search_all(model, [[A]], both, settings, observer=recorder)  # type: ignore[arg-type]
    return recorder.trees[0]


def shown(tree: SearchTree, step: int) -> list[tuple[str, float, str]]:
    """Tokens, probability and fate of each continuation of a step."""
    names = {EOS: "$", A: "a", B: "b"}
    return [
        ("".join(names[token] for token in tree.tokens(index)), round(math.exp(node.log_probability), 4), node.fate)
        for index, node in enumerate(tree.nodes)
        if node.step == step and node.log_probability > math.log(1e-6)
    ]


def test_the_tree_of_a_toy_model_is_that_of_a_search_by_hand() -> None:
    """Beam of 2: of the four best continuations the ends among the first two are finished."""
    tree = recorded(beam_size=2)
    assert shown(tree, 0) == [("a", 0.6, "kept"), ("b", 0.3, "kept"), ("$", 0.1, "dropped")]
    assert shown(tree, 1) == [
        ("ab", 0.3, "kept"),
        ("b$", 0.24, "finished"),
        ("a$", 0.18, "dropped"),
        ("aa", 0.12, "kept"),
    ]
    assert shown(tree, 2) == [
        ("ab$", 0.24, "finished"),
        ("aab", 0.06, "stopped"),
        ("aa$", 0.036, "dropped"),
        ("aba", 0.03, "stopped"),
    ]
    finished = [node for node in tree.nodes if node.fate == "finished"]
    assert [node.score for node in finished] == pytest.approx([math.log(0.24), math.log(0.24)], abs=1e-5)
    assert tree.num_steps == 3


def test_what_the_threshold_prunes_is_not_continued() -> None:
    tree = recorded(beam_size=2, prune=0.5)
    assert shown(tree, 0) == [("a", 0.6, "kept"), ("b", 0.3, "pruned"), ("$", 0.1, "dropped")]
    assert {name[0] for name, _, _ in shown(tree, 1)} == {"a"}


@pytest.mark.quick("options2", "options3")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prune": 1.0},
        {"beam_groups": 2, "diversity": 0.5},
        {"coverage_penalty": 0.3},
        {"early_stopping": "exact", "length_penalty": "average"},
    ],
)
def test_recording_changes_no_result_and_its_finished_hypotheses_are_the_results(
    make_system: Callable[[str], Seq2Seq], words: Vocabularies, options: dict[str, Any]
) -> None:
    model, settings = make_system("luong"), DecodingOptions(**{"beam_size": 4, **options})
    recorder = BeamRecorder(words.target.eos)
    with_it = search_all(model, SOURCES, words, settings, observer=recorder)
    assert with_it == search_all(model, SOURCES, words, settings)
    for number, hypotheses in enumerate(with_it):
        tree = recorder.trees[number]
        finished = {
            tuple(tree.tokens(index)[:-1]): (node.score, node.log_probability)
            for index, node in enumerate(tree.nodes)
            if node.fate == "finished"
        }
        for hypothesis in hypotheses:
            assert finished[tuple(hypothesis.ids)] == (hypothesis.score, hypothesis.log_probability)
        assert max(score for score, _ in finished.values()) == hypotheses[0].score  # type: ignore[type-var]


@pytest.mark.extension("terms")
def test_a_constraint_that_the_best_continuations_lack_is_in_the_tree(
    make_system: Callable[[str], Seq2Seq], words: Vocabularies
) -> None:
    recorder = BeamRecorder(words.target.eos)
    constraints = [LexicalConstraints(phrases=[[15, 9]])]
    model, options = make_system("luong"), DecodingOptions(beam_size=2)
    [[best, *_]] = search_all(model, SOURCES[:1], words, options, observer=recorder, constraints=constraints)
    tree = recorder.trees[0]
    assert [*best.ids, words.target.eos] in [tree.tokens(i) for i, node in enumerate(tree.nodes) if node.score]


def test_a_shortlist_is_refused(make_system: Callable[[str], Seq2Seq], words: Vocabularies) -> None:
    model, recorder = make_system("luong"), BeamRecorder(words.target.eos)
    with pytest.raises(UserError, match="shortlist can't be recorded"):
        search_all(model, SOURCES, words, DecodingOptions(), candidates=lambda batch: [5, 6], observer=recorder)
