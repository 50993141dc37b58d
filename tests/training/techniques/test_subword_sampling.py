"""Subword regularisation: the same sentences in other pieces, each epoch anew, and the same ones for the same seed."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nmt.config import Recipe, TrainingOptions, VocabularyOptions, VocabularyType
from nmt.data.batching import Batch, TrainingBatches
from nmt.data.corpus import DialogueText, FileText, ParallelText
from nmt.data.encoded_corpus import EncodedCorpus, Sentences, encode_corpus
from nmt.data.vocabulary import SPACE, Vocabularies, train_vocabularies
from nmt.errors import UserError
from nmt.training.run import train
from nmt.training.techniques.subword_sampling import SubwordSampling

TrainTiny = Callable[..., Path]


def vocabularies_of(text: ParallelText, kind: VocabularyType = "unigram", size: int = 100) -> Vocabularies:
    return train_vocabularies(VocabularyOptions(type=kind, size=size), text, separator=text.context is not None)


@pytest.fixture
def text(tiny_corpus: Path) -> FileText:
    return FileText(tiny_corpus / "train.de", tiny_corpus / "train.en")


def sampler_of(vocabularies: Vocabularies, alpha: float, num_epochs: int | None = None) -> SubwordSampling:
    """The technique in a recipe that turns it on for so many epochs, or for all."""
    options = SubwordSampling.Options(alpha=alpha, fraction=0.5 if num_epochs else 1.0)
    training = TrainingOptions(max_epochs=2 * (num_epochs or 1))
    technique = SubwordSampling(options, Recipe.model_construct(training=training))
    technique.setup_data(vocabularies)
    return technique


def sentences(side: Sentences) -> list[list[int]]:
    return [side[row].tolist() for row in range(len(side))]


@pytest.mark.parametrize(("kind", "alpha"), [("unigram", 0.2), ("bpe", 0.3)])
def test_the_pieces_vary_and_the_text_stays(text: FileText, kind: VocabularyType, alpha: float) -> None:
    vocabularies = vocabularies_of(text, kind)
    corpus = encode_corpus(text, vocabularies, 99)
    sampled = sampler_of(vocabularies, alpha).read_epoch(corpus.sides, 1, 0)
    for side, likeliest in zip(sampled, (corpus.source, corpus.target), strict=True):
        was, found = sentences(likeliest), sentences(side)
        assert [vocabularies.source.decode(ids) for ids in found] == [vocabularies.source.decode(ids) for ids in was]
        assert sum(a != b for a, b in zip(was, found, strict=True)) > len(was) / 2
        assert side.lengths.tolist() == [len(ids) for ids in found]


def test_the_same_seed_draws_the_same_pieces(text: FileText) -> None:
    vocabularies = vocabularies_of(text)
    corpus = encode_corpus(text, vocabularies, 99)
    sampler = sampler_of(vocabularies, 0.2)
    first, again, other = (
        [sentences(side) for side in sampler.read_epoch(corpus.sides, *seed)] for seed in ((1, 0), (1, 0), (1, 1))
    )
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_pieces_are_drawn_as_often_as_the_paper_says() -> None:
    """Kudo 2018, equation 8: P(x)^alpha over the sum of it for all segmentations."""
    words = ["ab"] * 40 + ["a"] * 30 + ["b"] * 20 + ["abb", "bab"] * 5
    vocabularies = train_vocabularies(VocabularyOptions(size=9), [(word, word) for word in words])
    vocabulary, alpha = vocabularies.source, 0.5
    processor = vocabulary._processor  # type: ignore[attr-defined]
    score = {vocabulary.token(i): processor.get_score(i) for i in range(4, len(vocabulary))}
    sentence = SPACE + "abab"

    def segmentations(rest: str) -> list[list[str]]:
        if not rest:
            return [[]]
        starts = [rest[:end] for end in range(1, len(rest) + 1) if rest[:end] in score]
        return [[start, *others] for start in starts for others in segmentations(rest[len(start) :])]

    weights = {
        " ".join(pieces): np.exp(alpha * sum(map(score.__getitem__, pieces))) for pieces in segmentations(sentence)
    }
    assert len(weights) > 2
    draws = 4000
    drawn = Counter(
        " ".join(map(vocabulary.token, ids))
        for ids in vocabulary.sample(["abab"] * draws, alpha, seed=1)  # type: ignore[attr-defined]
    )
    for pieces, weight in weights.items():
        expected = weight / sum(weights.values())
        assert drawn[pieces] / draws == pytest.approx(expected, abs=4 * np.sqrt(expected / draws) + 1e-3)


def test_turns_vary_between_separators_that_stay(tmp_path: Path, text: FileText) -> None:
    turns = [source for source, _ in text]
    (tmp_path / "d.de").write_text("".join(f"{a}\t{b}\n" for a, b in itertools.pairwise(turns)))
    (tmp_path / "d.en").write_text("".join(f"{b}\n" for b in turns[1:]))
    dialogues = DialogueText(FileText(tmp_path / "d.de", tmp_path / "d.en"), 1)
    vocabularies = vocabularies_of(dialogues, size=70)
    separator = vocabularies.source.separator
    assert separator is not None
    corpus = encode_corpus(dialogues, vocabularies, 99)
    source, _ = sampler_of(vocabularies, 0.2).read_epoch(corpus.sides, 1, 0)

    def split(ids: list[int]) -> list[str]:
        at = ids.index(separator)
        return [vocabularies.source.decode(part) for part in (ids[:at], ids[at + 1 :])]

    was, found = sentences(corpus.source), sentences(source)
    assert was != found
    assert [ids.count(separator) for ids in found] == [1] * len(was)
    assert list(map(split, found)) == list(map(split, was))


def test_what_an_unk_stood_for_is_not_lost(tmp_path: Path, text: FileText) -> None:
    vocabularies = vocabularies_of(text)
    for language in ("de", "en"):
        (tmp_path / f"odd.{language}").write_text("Der Hund ☃ schläft im Garten.\n" * 20)
    odd = encode_corpus(FileText(tmp_path / "odd.de", tmp_path / "odd.en"), vocabularies, 99)
    source, target = sampler_of(vocabularies, 0.2).read_epoch(odd.sides, 1, 0)
    assert vocabularies.source.unk in odd.source[0]
    assert sentences(source) == sentences(odd.source)
    assert sentences(target) == sentences(odd.target)


@pytest.mark.parametrize("kind", ["word", "character"])
def test_words_and_characters_have_no_other_pieces(text: FileText, kind: VocabularyType) -> None:
    with pytest.raises(UserError, match="no other pieces") as caught:
        sampler_of(vocabularies_of(text, kind), 0.2)
    assert "unigram or bpe" in caught.value.remedy


def test_a_full_disk_is_said(text: FileText, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    vocabularies = vocabularies_of(text)
    corpus = encode_corpus(text, vocabularies, 99)
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(UserError, match="No space left on device") as caught:
        sampler_of(vocabularies, 0.2).read_epoch(corpus.sides, 1, 0)
    assert "TMPDIR" in caught.value.remedy


# in training


def stream(
    corpus: EncodedCorpus, vocabularies: Vocabularies, share: tuple[int, int] = (0, 1), num_epochs: int | None = None
) -> TrainingBatches:
    sampler = sampler_of(vocabularies, 0.2, num_epochs)
    return TrainingBatches(corpus, np.arange(len(corpus)), vocabularies, 60, 1, share, [sampler.read_epoch])


def content(batch: Batch) -> tuple[list[list[int]], list[list[int]]]:
    return batch.source_BS.tolist(), batch.target_output_BT.tolist()


def test_every_epoch_reads_other_pieces_and_a_resumed_one_the_same(text: FileText) -> None:
    vocabularies = vocabularies_of(text)
    corpus = encode_corpus(text, vocabularies, 99)
    batches = stream(corpus, vocabularies)
    seen: list[Counter[tuple[int, ...]]] = [Counter(), Counter()]
    whole, states = [], [batches.state_dict()]
    for batch in itertools.islice(batches, 3 * len(batches)):
        whole.append(content(batch))
        epoch = states[-1]["epoch"]
        states.append(batches.state_dict())
        if epoch == 2:
            break
        seen[epoch].update(map(tuple, whole[-1][0]))
    texts = [Counter(map(vocabularies.source.decode, epoch.elements())) for epoch in seen]
    assert texts[0] == texts[1] == Counter(map(vocabularies.source.decode, sentences(corpus.source)))
    assert seen[0] != seen[1]
    for stop, state in enumerate(states[:-1]):
        resumed = stream(corpus, vocabularies)
        resumed.load_state_dict(state)
        assert content(next(iter(resumed))) == whole[stop]


def test_after_its_epochs_the_likeliest_pieces_are_read_as_if_nothing_had_been_sampled(text: FileText) -> None:
    vocabularies = vocabularies_of(text)
    corpus = encode_corpus(text, vocabularies, 99)
    sampled = stream(corpus, vocabularies, num_epochs=1)
    plain = TrainingBatches(corpus, np.arange(len(corpus)), vocabularies, 60, 1)
    first = [content(batch) for batch in itertools.islice(sampled, len(sampled))]
    assert first != [content(batch) for batch in itertools.islice(plain, len(plain))]
    assert first == [content(batch) for batch in itertools.islice(stream(corpus, vocabularies), len(first))]
    assert (sampled.epoch, plain.epoch) == (1, 1)
    for _ in range(len(plain) + 3):  # on into the next epoch
        assert content(next(iter(sampled))) == content(next(iter(plain)))


def test_batches_are_planned_by_the_pieces_drawn(text: FileText) -> None:
    vocabularies = vocabularies_of(text)
    batches = stream(encode_corpus(text, vocabularies, 99), vocabularies)
    for batch in itertools.islice(batches, 2 * len(batches)):
        assert max(batch.source_BS.numel(), batch.target_output_BT.numel()) <= 60 or len(batch.source_BS) == 1


def test_processes_draw_the_same_pieces(text: FileText) -> None:
    vocabularies = vocabularies_of(text)
    corpus = encode_corpus(text, vocabularies, 99)
    alone = [content(batch) for batch in itertools.islice(stream(corpus, vocabularies), 20)]
    shares = [itertools.islice(stream(corpus, vocabularies, (process, 2)), 10) for process in range(2)]
    assert [content(batch) for pair in zip(*shares, strict=True) for batch in pair] == alone


SETTINGS = (
    "vocabulary.type=unigram",
    "vocabulary.joint=true",
    "vocabulary.size=100",
    "training.techniques.subword_sampling.alpha=0.2",
)


def test_a_run_that_was_stopped_in_an_epoch_ends_as_if_it_had_not_been(
    train_tiny: TrainTiny, tiny_recipe: Path, tmp_path: Path
) -> None:
    settings = (*SETTINGS, "training.schedule=constant", "training.metric=loss")
    whole = train_tiny(*settings, "training.max_steps=9")
    train(tiny_recipe, tmp_path, (*settings, "training.max_steps=4"))
    train(tiny_recipe, tmp_path, (*settings, "training.max_steps=9"), resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (("training.techniques.subword_sampling.alpha=1.5",), "techniques.subword_sampling: .*less than or equal to 1"),
        (("training.techniques.subword_sampling.alpha=0.2",), "no other pieces"),
    ],
)
def test_settings_that_cannot_be(train_tiny: TrainTiny, settings: tuple[str, ...], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        train_tiny(*settings, "training.max_steps=1")
