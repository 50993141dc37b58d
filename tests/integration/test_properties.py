"""What holds for all inputs, not only for chosen ones: hypothesis draws them, the same ones in every run."""

import gzip
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from nmt.core.errors import UserError
from nmt.core.text import count_lines, read_lines
from nmt.data.batch import Batch, make_batch
from nmt.data.batching import MAX_PADDING, plan_batches
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe import yaml12
from nmt.recipe.schema import VocabularyOptions

unicode_text = st.text(st.characters(codec="utf-8"), max_size=30)
yaml_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)


class ShuffledIds(WordVocabulary):
    """Special ids elsewhere than nmt would put them, as in a foreign sentencepiece model."""

    pad, unk, sos, eos = 3, 0, 1, 2


WORDS = ShuffledIds([f"▁w{i}" for i in range(12)])
BOTH = Vocabularies(WORDS, WORDS)
sentences = st.lists(st.integers(4, len(WORDS) - 1), max_size=6)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=60),
    st.integers(1, 150),
    st.none() | st.integers(0, 9),
)
def test_batches_hold_each_sentence_once_within_the_budget(
    lengths: list[tuple[int, int]], budget: int, seed: int | None
) -> None:
    source_N, target_N = np.array(lengths).T
    batches = plan_batches(source_N, target_N, budget, None if seed is None else np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest_source, longest_target = int(source_N[batch].max()), int(target_N[batch].max())
        assert len(batch) == 1 or len(batch) * max(longest_source, longest_target) <= budget
        padding = 1 - (source_N[batch] + target_N[batch]).mean() / (longest_source + longest_target)
        others = batch[:-1]
        if len(others) and max(source_N[others].max(), target_N[others].max()) * len(others) > budget / 2:
            assert padding <= MAX_PADDING


def padded(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    longest = max(map(len, rows))
    return [[*row, *[WORDS.pad] * (longest - len(row))] for row in rows]


def as_lists(batch: Batch) -> dict[str, Any]:
    parts = {**batch.tensors, **batch.annotations}
    return {name: [array.tolist() for array in part] for name, part in parts.items()}


@st.composite
def linked_pairs(draw: st.DrawFn) -> tuple[list[int], list[int], Any]:
    source, target = draw(sentences), draw(sentences)
    position = st.tuples(st.integers(0, len(source)), st.integers(0, len(target)))
    return source, target, np.array(draw(st.lists(position, max_size=5)), dtype=np.int64).reshape(-1, 2)


@given(st.lists(linked_pairs(), min_size=2, max_size=6))
def test_a_batch_is_padded_sentences_and_its_halves_are_batches(drawn: list[tuple[list[int], list[int], Any]]) -> None:
    pairs, links = [(source, target) for source, target, _ in drawn], [links for _, _, links in drawn]
    batch = make_batch(pairs, BOTH, {"links": links})
    assert batch.source_BS.tolist() == padded([[*source, WORDS.eos] for source, _ in pairs])
    assert batch.target_input_BT.tolist() == padded([[WORDS.sos, *target] for _, target in pairs])
    assert batch.target_output_BT.tolist() == padded([[*target, WORDS.eos] for _, target in pairs])
    assert batch.source_length_B.tolist() == [len(source) + 1 for source, _ in pairs]
    assert batch.target_length_B.tolist() == [len(target) + 1 for _, target in pairs]
    assert batch.num_target_tokens == sum(len(target) + 1 for _, target in pairs)
    assert batch.num_positions == batch.source_BS.numel() + batch.target_output_BT.numel()
    assert batch.num_padding == int((batch.source_BS == WORDS.pad).sum() + (batch.target_output_BT == WORDS.pad).sum())
    middle = (len(pairs) + 1) // 2
    halves = [make_batch(pairs[half], BOTH, {"links": links[half]}) for half in (slice(middle), slice(middle, None))]
    assert [as_lists(half) for half in batch.halves()] == [as_lists(half) for half in halves]


CHUNKS = [b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\x1f\x8b", b"\xff", b"\xc3", b"\x00", b"a ", "\u2028ü".encode()]
some_bytes = st.lists(st.sampled_from(CHUNKS), max_size=12).map(b"".join) | st.binary(max_size=40)


def lines_of(content: bytes) -> list[bytes]:
    r"""Lines end at ``\n`` or ``\r\n``, and a byte-order mark at the start of the text isn't part of it."""
    *ended, last = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [line.removesuffix(b"\r") for line in ended] + ([last] if last else [])


@given(some_bytes, st.booleans())
@example(b"\xef\xbb\xbf", False)
def test_any_bytes_are_read_line_by_line(tmp_path_factory: pytest.TempPathFactory, content: bytes, pack: bool) -> None:
    assume(pack or not content.startswith(b"\x1f\x8b"))
    path = tmp_path_factory.getbasetemp() / "properties.txt"  # hypothesis refuses ``tmp_path``
    path.write_bytes(gzip.compress(content) if pack else content)
    expected = lines_of(content)
    read = list(read_lines(path, keep_invalid=True))
    assert [line.encode("utf-8", "surrogateescape") for line in read] == expected
    assert pack or content == b"\xef\xbb\xbf" or count_lines(path) == len(expected)
    invalid = [number for number, line in enumerate(expected, 1) if line.decode("utf-8", "replace").encode() != line]
    if invalid:
        with pytest.raises(UserError, match=f"line {invalid[0]}: not UTF-8"):
            list(read_lines(path))
    else:
        assert list(read_lines(path)) == [line.decode() for line in expected]


TEXT = ["Der Hund sieht den Mond, nicht wahr?", "„Wo ist der Bahnhof?“, fragte sie um 7.30 Uhr.", "Öl übertrifft Grüße"]
SIZES = {"unigram": 46, "bpe": 90, "character": 1000, "word": 1000}


@cache
def vocabulary_of(kind: str, **options: Any) -> Vocabulary:
    size = SIZES[kind] + (256 if options.get("byte_fallback") else 0)
    return train_vocabularies(
        VocabularyOptions(**{"type": kind, "size": size, **options}), [(text, text) for text in TEXT]
    ).source


@pytest.mark.parametrize("kind", SIZES)
@given(text=st.text(max_size=40))
@example(text="a\x00b\ud800 \u2581c")
def test_any_text_has_ids_in_range_and_pieces_in_order(kind: str, text: str) -> None:
    vocabulary = vocabulary_of(kind)
    ids = vocabulary.encode(text)
    assert all(0 <= index < len(vocabulary) for index in ids)
    assert not {vocabulary.pad, vocabulary.sos, vocabulary.eos} & set(ids)
    assert isinstance(vocabulary.decode(ids), str)
    pieces = vocabulary.pieces(text)
    assert [piece.id for piece in pieces] == ids
    edges = [edge for piece in pieces for edge in (piece.begin, piece.end)]
    assert edges == sorted(edges)
    assert set(edges) <= set(range(len(text) + 1))


@pytest.mark.parametrize("kind", SIZES)
@given(words=st.lists(st.sampled_from(" ".join(TEXT).split())))
def test_known_words_survive(kind: str, words: list[str]) -> None:
    vocabulary = vocabulary_of(kind)
    assert vocabulary.decode(vocabulary.encode(" ".join(words))) == " ".join(words)


@pytest.mark.parametrize("kind", ["unigram", "bpe", "character"])
@given(text=unicode_text)
def test_with_bytes_and_without_normalization_any_text_survives(kind: str, text: str) -> None:
    vocabulary = vocabulary_of(kind, byte_fallback=True, normalization="identity")
    assume("\u2581" not in text)  # stands for a space
    assert vocabulary.decode(vocabulary.encode(text)) == " ".join(text.split(" ")).strip(" ")


@given(st.lists(unicode_text))
def test_a_word_vocabulary_of_any_text_is_read_as_it_was_written(lines: list[str]) -> None:
    assume(any(not line.isspace() and line for line in lines))
    vocabulary = train_vocabularies(VocabularyOptions(type="word"), [(line, line) for line in lines]).source
    again = WordVocabulary.from_bytes(vocabulary.to_bytes())
    assert [again.encode(line) for line in lines] == [vocabulary.encode(line) for line in lines]
    assert [again.token(i) for i in range(len(again))] == [vocabulary.token(i) for i in range(len(vocabulary))]


WORDS_OF_YAML = ["no", "1e3", "null", "~", "0x1f", "1_000", "12:30:45", "2024-01-01", "- a", "a: b", "#", "<<", "="]
scalars = st.sampled_from(WORDS_OF_YAML) | yaml_text | st.integers() | st.booleans() | st.none()
scalars |= st.floats(allow_nan=False, allow_infinity=False)
yaml_values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(yaml_text, inner, max_size=3), max_leaves=6
)


@given(yaml_values)
def test_yaml_reads_what_it_writes(value: Any) -> None:
    assert yaml12.load(yaml12.dump(value)) == value
