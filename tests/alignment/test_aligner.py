"""Forced decoding against a computation of its own: scores, links, batches, cut sentences."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from nmt.alignment.aligner import AttentionAligner
from nmt.alignment.extract import LinkOptions
from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import WordAlignment
from nmt.core.errors import UserError
from nmt.data.words import Words
from nmt.translation.load import load
from nmt.translation.translator import Translator

PAIRS = [
    ("Der Hund schläft im Garten.", "The dog sleeps in the garden."),
    ("", "The dog."),
    ("Der Hund.", ""),
    ("", ""),
    ("Heute trinkt die Katze kaltes Wasser, weil 😀 sie müde ist.", "Cold water."),
    ("Hund", "The dog runs across the bridge and 猫 sees the moon at seven o'clock in the old garden 🏳️‍🌈."),
    ("   ", "\t"),
    ("Mein Bruder wartet auf den Zug.", "My brother waits for the train."),
]


@pytest.fixture(scope="module", params=["tiny_model", "bytes_model"])
def translator(request: pytest.FixtureRequest) -> Translator:
    return load(request.getfixturevalue(request.param), "cpu")


def in_words(pairs: Sequence[tuple[str, str]]) -> list[tuple[Words, Words]]:
    return [(Words.split(source), Words.split(target)) for source, target in pairs]


def align(translator: Translator, pairs: Sequence[tuple[str, str]], batch_size: int = 32) -> list[WordAlignment]:
    aligner = AttentionAligner(
        translator.model, translator.vocabularies, translator.max_pieces, translator.task, batch_size=batch_size
    )
    return list(aligner(in_words(pairs), LinkOptions(symmetrize="none")))


def test_words_and_shapes_are_those_of_the_text(translator: Translator) -> None:
    for alignment, (source, target) in zip(align(translator, PAIRS), PAIRS, strict=True):
        assert list(alignment.source) == source.split()
        assert list(alignment.target) == target.split()
        assert alignment.weights.shape == (len(target.split()), len(source.split()))
        assert np.all(alignment.weights >= 0)
        assert np.all(alignment.weights.sum(axis=1) <= 1 + 1e-5)
        if alignment.source:
            assert sorted(j for _, j in alignment.links) == list(range(len(alignment.target)))
        else:
            assert alignment.links == ()


def test_links_alone_are_found_without_the_output_layer(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = list(translator.align(PAIRS))
    calls: list[object] = []
    monkeypatch.setattr(translator.model.decoder.output, "forward", calls.append)
    for found, expected in zip(translator.align(PAIRS, scores=False), complete, strict=True):
        assert found.links == expected.links
        assert np.array_equal(found.weights, expected.weights)
        assert expected.score is not None
        assert (found.score, found.probabilities) == (None, None)
    assert calls == []


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_batch_mates_change_nothing(translator: Translator, batch_size: int) -> None:
    together = align(translator, PAIRS * 2, batch_size)
    for found, pair in zip(together, PAIRS * 2, strict=True):
        [alone] = align(translator, [pair])
        np.testing.assert_allclose(found.weights, alone.weights, atol=1e-5)
        assert found.links == alone.links
        assert found.score == pytest.approx(alone.score, rel=1e-4)


def test_pairs_are_read_as_they_are_needed(translator: Translator) -> None:
    num_read = 0

    def endless() -> Iterator[tuple[Words, Words]]:
        nonlocal num_read
        while True:
            num_read += 1
            yield in_words(PAIRS[:1])[0]

    found = AttentionAligner(translator.model, translator.vocabularies, 300, translator.task, batch_size=2)(endless())
    for _ in range(3):
        next(found)
    assert num_read < 100


def test_a_long_side_is_cut_and_reported(translator: Translator, capsys: pytest.CaptureFixture[str]) -> None:
    aligner = AttentionAligner(
        translator.model, translator.vocabularies, max_pieces=4, task=translator.task, batch_size=2
    )
    long = "Hund Katze Kind Mond Ball Zug " * 3
    pairs = [("Hund", "dog"), (long, "dog"), ("Hund", long)]
    short, long_source, long_target = aligner(in_words(pairs))
    messages = " ".join(capsys.readouterr().err.split())
    cut = [int(number) for number in re.findall(r"line (\d) has \d+ pieces: only the first 4 are aligned", messages)]
    assert [number for number in cut if number > 1] == [2, 3]
    assert long_source.score is None
    assert long_target.score is None
    assert long_target.probabilities is None
    assert all(source < 4 for source, _ in long_source.links)
    assert {target for _, target in long_target.links} <= set(range(4))
    assert long_target.weights.shape == (18, 1)
    assert (short.score is None) == (1 in cut)


@pytest.mark.extension("lexicon")
def test_the_lexicon_alone_aligns_without_the_model(
    own_model: Path, tiny_pairs: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By words alone the links of the training text are nearly those that its attention gives."""
    translator = load(own_model, "cpu")
    with pytest.raises(UserError, match="no lexicon"):
        translator.align(tiny_pairs, lexicon_only=True)
    translator.learn_alignment(tiny_pairs)
    by_attention = list(translator.align(tiny_pairs, split_punctuation=True))
    monkeypatch.setattr("nmt.alignment.aligner.force_all", None)
    monkeypatch.setattr(translator.vocabularies.target, "pieces", None)
    found = list(translator.align(tiny_pairs, split_punctuation=True, lexicon_only=True))
    same = sum(len(set(a.links) & set(b.links)) for a, b in zip(found, by_attention, strict=True))
    assert same > 0.85 * sum(len(a.links) for a in by_attention)
    for alignment, other in zip(found, by_attention, strict=True):
        assert (alignment.source, alignment.target, alignment.score) == (other.source, other.target, None)
        np.testing.assert_allclose(alignment.weights.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.extension("lexicon")
@pytest.mark.parametrize("lexicon_only", [False, True])
def test_the_lexicons_of_both_directions_align_together(tiny_model: Path, lexicon_only: bool) -> None:
    forward, backward = load(tiny_model, "cpu"), load(tiny_model, "cpu")
    forward.aligner.lexicon = Lexicon({"hund": {"dog": 9.0}, "katze": {"cat": 9.0}})
    backward.aligner.lexicon = Lexicon({"dog": {"hund": 9.0}, "cat": {"katze": 9.0}, "bird": {"vogel": 99.0}})
    pairs = [("Hund Vogel Katze", "bird cat dog"), ("", "dog"), ("Katze Hund", "dog cat")]
    with pytest.raises(UserError, match="is no model from en to de"):
        forward.align(pairs, reverse=backward, lexicon_only=lexicon_only)
    data = backward.recipe.data.model_copy(update={"source": "en", "target": "de"})
    backward.recipe = backward.recipe.model_copy(update={"data": data})
    found = forward.align(pairs, reverse=backward, lexicon_only=lexicon_only)
    assert [alignment.links for alignment in found] == [((0, 2), (1, 0), (2, 1)), (), ((0, 1), (1, 0))]
