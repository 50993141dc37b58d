"""ReversePairs training: pairs are read either way round at first, and from source to target from then on."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fixture_types import TrainTiny

from nmt.core.errors import UserError
from nmt.data.batching import TrainingBatches
from nmt.data.cache import EncodedCorpus, ParallelIds, encode_corpus
from nmt.data.sources import FileText
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.extensions.techniques.reverse_pairs import ReversePairs
from nmt.recipe.schema import DataOptions, Recipe, TrainingOptions, VocabularyOptions

SHARE = ("training.max_epochs=1000", "training.techniques.reverse_pairs.fraction=0.5")


def technique_of(fraction: float, max_epochs: int) -> ReversePairs:
    data, training = DataOptions(source="de", target="en"), TrainingOptions(max_epochs=max_epochs)
    return ReversePairs(ReversePairs.Options(fraction=fraction), Recipe.model_construct(data=data, training=training))


def turned(vocabularies: Vocabularies, num_epochs: int) -> ReversePairs:
    """The technique in a recipe whose fraction of ``max_epochs`` is so many epochs."""
    technique = technique_of(0.5, 2 * num_epochs)
    technique.setup_data(vocabularies)
    return technique


def pairs(sides: ParallelIds) -> list[tuple[list[int], list[int]]]:
    return [(source.tolist(), target.tolist()) for source, target in zip(*sides, strict=True)]


def test_half_of_the_pairs_are_turned_round_other_ones_in_each_epoch(
    corpus: EncodedCorpus, vocabularies: Vocabularies
) -> None:
    technique = turned(vocabularies, 5)
    read, again, *others = (technique.read_epoch(corpus.sides, *of) for of in ((1, 0), (1, 0), (1, 1), (2, 0)))
    assert pairs(read) == pairs(again)
    assert pairs(read) not in list(map(pairs, others))
    count = 0
    for found, (source, target) in zip(pairs(read), pairs(corpus.sides), strict=True):
        assert found in ((source, target), (target, source))
        count += found == (target, source)
    assert len(corpus) * 0.3 < count < len(corpus) * 0.7
    for side in read:
        assert side.lengths.tolist() == [len(ids) for ids in side]


def test_a_batch_has_pairs_of_both_directions(tmp_path: Path) -> None:
    """Even where all sentences are equally long, so that random numbers alone say which ones share a batch."""
    words = ["".join(letters) for letters in itertools.permutations("abcd")] * 4
    (tmp_path / "t.de").write_text("".join(f"{word}\n" for word in words))
    (tmp_path / "t.en").write_text("".join(f"{word.upper()}\n" for word in words))
    text = FileText(tmp_path / "t.de", tmp_path / "t.en")
    vocabularies = train_vocabularies(VocabularyOptions(type="character", joint=True), text)
    corpus = encode_corpus(text, vocabularies, 99)
    readings = [turned(vocabularies, 5).read_epoch]
    batches = TrainingBatches(corpus, vocabularies, 60, 1, readings=readings)
    mixed = []
    for batch in itertools.islice(batches, 5 * len(batches)):
        forwards = [vocabularies.source.decode(ids[:4]).islower() for ids in batch.source_BS.tolist()]
        mixed.append(0 < sum(forwards) < len(forwards))
    assert np.mean(mixed) > 0.9


@pytest.mark.parametrize(
    ("fraction", "max_epochs", "expected"), [(0.5, 1, 0), (0.5, 3, 1), (0.9, 3, 2), (0.25, 8, 2), (0.58, 50, 29)]
)
def test_a_fraction_of_the_epochs_leaves_one(
    corpus: EncodedCorpus, fraction: float, max_epochs: int, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    technique = technique_of(fraction, max_epochs)
    assert ("reverse_pairs.fraction is 0.5: of 1 training.max_epochs" in capsys.readouterr().err) is (expected == 0)
    changed = [technique.read_epoch(corpus.sides, 1, epoch) != corpus.sides for epoch in range(max_epochs)]
    assert changed == [True] * expected + [False] * (max_epochs - expected)


@pytest.mark.parametrize("options", ["reverse_pairs: {}", "subword_sampling: {alpha: 0.4, fraction: 0.5}"])
def test_a_fraction_of_the_epochs_needs_their_number(train_tiny: TrainTiny, options: str) -> None:
    with pytest.raises(UserError, match=r"fraction is a fraction of training\.max_epochs, which is not set"):
        train_tiny(f"training.techniques={{{options}}}")


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        ({"joint": False}, "takes a joint vocabulary", "vocabulary.joint"),
        ({"separator": 4}, "can't turn dialogues round", "data.history_turns"),
        ({"tags": {"<2en>": 5}}, "can't turn pairs with tags round", "sides exchanged"),
    ],
)
def test_pairs_that_can_not_be_turned_are_refused(changes: dict[str, Any], message: str, remedy: str) -> None:
    values = {"joint": True, "separator": None, "tags": {}} | changes
    vocabularies: Any = SimpleNamespace(joint=values.pop("joint"), source=SimpleNamespace(**values))
    with pytest.raises(UserError, match=rf"{message}.*\n.*{remedy}"):
        turned(vocabularies, 1)


def test_taught_attention_is_refused(train_tiny: TrainTiny, tiny_corpus: Path) -> None:
    with pytest.raises(UserError, match=r"guided_alignment doesn't go with training\.techniques\.reverse_pairs"):
        train_tiny(*SHARE, f"training.techniques.guided_alignment.links={tiny_corpus / 'train.de'}")
