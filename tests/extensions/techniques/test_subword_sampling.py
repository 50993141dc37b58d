"""Subword regularisation: the same sentences in other pieces, each epoch anew, and the same ones for the same seed."""

import itertools
import math
from collections import Counter, defaultdict
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.data.batching import TrainingBatches
from nmt.data.cache import EncodedCorpus, Sentences, encode_corpus
from nmt.data.sources import FileText, ParallelText, ReadText
from nmt.data.vocabulary.base import SPACE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary
from nmt.extensions.techniques.subword_sampling import SubwordSampling, segmentations
from nmt.recipe.schema import Recipe, TrainingOptions, VocabularyOptions


def vocabularies_of(text: ParallelText, kind: str = "unigram", size: int = 100) -> Vocabularies:
    return train_vocabularies(VocabularyOptions(type=kind, size=size), text, separator=text.reader.has_turns)


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
def test_the_pieces_vary_and_the_text_stays(text: FileText, kind: str, alpha: float) -> None:
    vocabularies = vocabularies_of(text, kind)
    corpus = encode_corpus(text, vocabularies, 99)
    sampled = sampler_of(vocabularies, alpha).read_epoch(corpus.sides, 1, 0)
    for side, likeliest in zip(sampled, (corpus.source, corpus.target), strict=True):
        was, found = sentences(likeliest), sentences(side)
        assert [vocabularies.source.decode(ids) for ids in found] == [vocabularies.source.decode(ids) for ids in was]
        assert sum(a != b for a, b in zip(was, found, strict=True)) > len(was) / 2
        assert side.lengths.tolist() == [len(ids) for ids in found]


def draw(vocabulary: Vocabulary, text: str, alpha: float, draws: int) -> Counter[str]:
    """How often each segmentation of a text is drawn."""
    sentences = [np.array(vocabulary.encode(text))] * draws
    ids, lengths = segmentations(vocabulary, alpha).of_sentences(sentences, np.random.default_rng(1))
    assert len(lengths) == draws
    return Counter(" ".join(map(vocabulary.token, found)) for found in np.split(ids, np.cumsum(lengths)[:-1]))


def assert_drawn(found: Counter[str], expected: dict[str, float]) -> None:
    draws = found.total()
    assert found.keys() <= expected.keys()
    for pieces, probability in expected.items():
        assert found[pieces] / draws == pytest.approx(probability, abs=4 * np.sqrt(probability / draws) + 1e-3), pieces


@pytest.fixture(scope="module")
def letters() -> SentencePieceVocabulary:
    words = ["ab"] * 40 + ["a"] * 30 + ["b"] * 20 + ["abb", "bab"] * 5
    return subwords(words, "unigram", 9)


def subwords(words: list[str], kind: str, size: int) -> SentencePieceVocabulary:
    return train_vocabularies(VocabularyOptions(type=kind, size=size), [(word, word) for word in words]).source


@pytest.mark.parametrize("sentence", ["abab", "ab ba", "bab a"])
def test_pieces_are_drawn_as_often_as_the_paper_says(letters: SentencePieceVocabulary, sentence: str) -> None:
    """Kudo 2018, equation 8: P(x)^alpha over the sum of it for all segmentations of the sentence."""
    alpha, scores = 0.5, letters.scores()

    def segmentations_of(rest: str) -> list[list[str]]:
        if not rest:
            return [[]]
        starts = [rest[:end] for end in range(1, len(rest) + 1) if rest[:end] in scores]
        return [[start, *others] for start in starts for others in segmentations_of(rest[len(start) :])]

    text = SPACE + sentence.replace(" ", SPACE)
    weights = {" ".join(x): np.exp(alpha * sum(map(scores.__getitem__, x))) for x in segmentations_of(text)}
    assert len(weights) > 1
    assert_drawn(draw(letters, sentence, alpha, 4000), {x: w / sum(weights.values()) for x, w in weights.items()})


def test_merges_are_left_out_as_often_as_in_bpe_dropout() -> None:
    """Provilkov et al. 2020, algorithm 1: every outcome of the choices before each merge, written out."""
    vocabulary = subwords(["abab"] * 9 + ["aba"] * 7 + ["ab"] * 5 + ["ba", "a", "b"], "bpe", 11)
    alpha, scores = 0.3, vocabulary.scores()
    assert sum(len(piece) > 1 for piece in scores) > 3
    expected: defaultdict[str, float] = defaultdict(float)

    def follow(pieces: tuple[str, ...], probability: float) -> None:
        merges = [at for at in range(len(pieces) - 1) if pieces[at] + pieces[at + 1] in scores]
        for is_left_out in itertools.product((True, False), repeat=len(merges)):
            share = probability * math.prod(alpha if out else 1 - alpha for out in is_left_out)
            possible = [at for at, out in zip(merges, is_left_out, strict=True) if not out]
            if possible:
                at = max(possible, key=lambda at: (scores[pieces[at] + pieces[at + 1]], -at))
                follow((*pieces[:at], pieces[at] + pieces[at + 1], *pieces[at + 2 :]), share)
            else:
                expected[" ".join(pieces)] += share

    follow(tuple(SPACE + "abab"), 1.0)
    assert len(expected) > 5
    assert_drawn(draw(vocabulary, "abab", alpha, 4000), expected)


def test_turns_vary_between_separators_that_stay(dialogues: ReadText) -> None:
    vocabularies = vocabularies_of(dialogues, size=70)
    separator = vocabularies.source.separator
    corpus = encode_corpus(dialogues, vocabularies, 99)
    source, _ = sampler_of(vocabularies, 0.2).read_epoch(corpus.sides, 1, 0)

    def split(ids: list[int]) -> list[str]:
        at = ids.index(separator)
        return [vocabularies.source.decode(part) for part in (ids[:at], ids[at + 1 :])]

    was, found = sentences(corpus.source), sentences(source)
    assert was != found
    assert [ids.count(separator) for ids in found] == [1] * len(was)
    assert list(map(split, found)) == list(map(split, was))


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_a_word_with_unk_or_bytes_keeps_its_pieces(tmp_path: Path, text: FileText, byte_fallback: bool) -> None:
    options = VocabularyOptions(size=350 if byte_fallback else 100, byte_fallback=byte_fallback)
    vocabularies = train_vocabularies(options, text)
    for language in ("de", "en"):
        (tmp_path / f"odd.{language}").write_text("Der Hund ☃schläft im Garten.\n" * 20)
    odd = encode_corpus(FileText(tmp_path / "odd.de", tmp_path / "odd.en"), vocabularies, 99)
    source, _ = sampler_of(vocabularies, 0.2).read_epoch(odd.sides, 1, 0)
    vocabulary = vocabularies.source
    word = vocabulary.encode("☃schläft")
    assert (vocabulary.unk in word) != byte_fallback
    assert len({tuple(ids) for ids in sentences(source)}) > 5
    for ids in sentences(source):
        assert any(ids[start : start + len(word)] == word for start in range(len(ids)))
        assert vocabulary.decode(ids) == vocabulary.decode(odd.source[0].tolist())


@pytest.mark.parametrize("kind", ["word", "character"])
def test_words_and_characters_have_no_other_pieces(text: FileText, kind: str) -> None:
    with pytest.raises(UserError, match=r"no other pieces.*\n.*unigram or bpe"):
        sampler_of(vocabularies_of(text, kind), 0.2)


def test_a_full_disk_is_said(
    corpus: EncodedCorpus, vocabularies: Vocabularies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(UserError, match=r"No space left on device.*\n.*TMPDIR"):
        sampler_of(vocabularies, 0.2).read_epoch(corpus.sides, 1, 0)


def stream(
    corpus: EncodedCorpus, vocabularies: Vocabularies, share: tuple[int, int] = (0, 1), num_epochs: int | None = None
) -> TrainingBatches:
    sampler = sampler_of(vocabularies, 0.2, num_epochs)
    return TrainingBatches(corpus, vocabularies, 60, 1, share, [sampler.read_epoch])


def content(batch: Batch) -> tuple[list[list[int]], list[list[int]]]:
    return batch.source_BS.tolist(), batch.target_output_BT.tolist()


def test_every_epoch_reads_other_pieces_and_a_resumed_one_the_same(
    corpus: EncodedCorpus, vocabularies: Vocabularies
) -> None:
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


def test_after_its_epochs_the_likeliest_pieces_are_read_as_if_nothing_had_been_sampled(
    corpus: EncodedCorpus, vocabularies: Vocabularies
) -> None:
    sampled = stream(corpus, vocabularies, num_epochs=1)
    plain = TrainingBatches(corpus, vocabularies, 60, 1)
    first = [content(batch) for batch in itertools.islice(sampled, len(sampled))]
    assert first != [content(batch) for batch in itertools.islice(plain, len(plain))]
    assert first == [content(batch) for batch in itertools.islice(stream(corpus, vocabularies), len(first))]
    assert (sampled.epoch, plain.epoch) == (1, 1)
    for _ in range(len(plain) + 3):  # on into the next epoch
        assert content(next(iter(sampled))) == content(next(iter(plain)))
