"""Links that are learned from the training text: those of a made-up language, and a head that learns them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import RecipeMaker
from run_files import assert_same_run, read_metrics

import nmt
from nmt.core.errors import UserError
from nmt.data.batch import make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.techniques.learned_links import LearnedLinks


class Side(list[Any]):
    """One side of a text, as an encoded corpus has it."""

    @property
    def lengths(self) -> Any:
        return np.array([len(words) for words in self])


def text_of(pairs: Iterable[Sequence[Any]]) -> Any:
    """An encoded text that has these pairs of a source and a target."""
    sources, targets = zip(*pairs, strict=True)
    return Side(np.array(ids, np.int32) for ids in sources), Side(np.array(ids, np.int32) for ids in targets)


def made_up_pairs(num_pairs: int, words: range) -> list[tuple[list[int], list[int], set[tuple[int, int]]]]:
    """Sentences whose neighbours change places in the translation, where each word has one of its own; and links."""
    rng = np.random.default_rng(3)
    pairs = []
    for _ in range(num_pairs):
        source = rng.choice(words, rng.integers(3, 8), replace=False).tolist()
        order = list(range(len(source)))
        for first, second in pairwise(range(len(source))):
            if rng.random() < 0.3:
                order[first], order[second] = order[second], order[first]
        target = [words.stop - 1 - (source[place] - words.start) for place in order]
        pairs.append((source, target, {(at, place) for at, place in enumerate(order)}))
    return pairs


def test_links_of_a_language_whose_words_change_places(joint_vocabularies: Vocabularies) -> None:
    words = range(5, len(joint_vocabularies.source))
    pairs = made_up_pairs(600, words)
    links = LearnedLinks([text_of(pair[:2] for pair in pairs)])
    batch = make_batch([(source, target) for source, target, _ in pairs[:40]], joint_vocabularies)
    mask = links.mask(batch)
    found = right = known = 0
    for row, (of_source, _, expected) in zip(mask, pairs[:40], strict=True):
        of_row = {(at, place) for at, place in row.nonzero().tolist()}
        assert (len(of_source), len(of_source)) in of_row, "EOS is linked to EOS"
        of_row.remove((len(of_source), len(of_source)))
        found, right, known = found + len(of_row), right + len(of_row & expected), known + len(expected)
    assert right / found > 0.97
    assert right / known > 0.9


def test_unknown_words_and_padding_have_no_links(joint_vocabularies: Vocabularies) -> None:
    links = LearnedLinks([text_of([([5, 6], [8, 7]), ([6], [7])])])
    batch = make_batch([([5, 6, 9], [8, 7, 9]), ([9], [9])], joint_vocabularies)
    assert links.mask(batch).nonzero().tolist() == [[0, 0, 0], [0, 1, 1], [0, 3, 3], [1, 1, 1]]


def test_links_are_learned_from_all_texts(joint_vocabularies: Vocabularies) -> None:
    pairs = [pair[:2] for pair in made_up_pairs(300, range(5, len(joint_vocabularies.source)))]
    both, few, others = map(text_of, (pairs, pairs[:4], pairs[4:]))
    batch = make_batch(pairs[:40], joint_vocabularies)
    at_once, in_parts, of_few = (LearnedLinks(texts).mask(batch) for texts in ([both], [few, others], [few]))
    assert torch.equal(at_once, in_parts)
    assert not torch.equal(at_once, of_few)


def test_embeddings_of_translations_become_similar(joint_vocabularies: Vocabularies) -> None:
    size = len(joint_vocabularies.source)
    words = range(5, size, 2)  # the translation of each is the next piece
    rng = np.random.default_rng(1)
    sources = [rng.choice(words, 3, replace=False).astype(np.int32) for _ in range(300)]
    weight = torch.randn(size + 1, 64, generator=torch.Generator().manual_seed(1))
    weight[0] = 0.0  # PAD
    moved = weight.clone()
    LearnedLinks([text_of((source, source + 1) for source in sources)]).align_embeddings(moved)
    torch.testing.assert_close(moved.norm(dim=1), weight.norm(dim=1))
    cosine = torch.nn.functional.cosine_similarity(moved[:, None], moved[None], dim=-1)
    assert min(cosine[word, word + 1] for word in words) > 0.8
    assert max(cosine[word, other] for word in words for other in words if word != other) < 0.5


def test_embeddings_that_are_trained_are_not_moved(make_recipe: RecipeMaker, tmp_path: Any) -> None:
    guided = {"training.techniques.guided_alignment": {"links": "learned", "embeddings": True}}
    for changes in ({"model.tie": "none"}, {"training.finetune_from": str(tmp_path)}):
        with pytest.raises(UserError, match="needs learned links and new embeddings of both sides"):
            nmt.train(make_recipe("luong", max_steps=1), tmp_path / "run", overrides=guided | changes)


@pytest.mark.parametrize("system", ["luong", "transformer"])
def test_attention_follows_learned_links(system: str, make_recipe: RecipeMaker, tmp_path: Any) -> None:
    """The alignment loss falls, and a run that is resumed goes on with the same links."""
    options = {"links": "learned", "weight": 1.0, "attention": "output", "embeddings": True}
    guided = {"training.techniques.guided_alignment": options, "model.tie": "all"}
    recipe = make_recipe(system, max_steps=30, log_every=10)
    at_once = nmt.train(recipe, tmp_path / "at_once", overrides=guided)
    first, *_, last = (row["alignment"] for row in read_metrics(at_once, "train"))
    assert last < 0.8 * first
    nmt.train(recipe, tmp_path / "parts", overrides=guided | {"training.max_steps": 15})
    resumed = nmt.train(recipe, tmp_path / "parts", overrides=guided, resume=True)
    assert_same_run(at_once, resumed, 30, events=())  # which were reported after other numbers of updates
