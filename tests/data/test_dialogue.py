"""Dialogues: turns of a line, their ids and places, and what becomes of them in vocabularies and corpora."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.core.errors import UserError
from nmt.data.cache import encode_corpus
from nmt.data.dialogue import SENTENCES, LineReader, current_turn, split_turns
from nmt.data.opening import open_text
from nmt.data.vocabulary.base import SEPARATOR, Vocabulary
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.schema import DataOptions, VocabularyOptions

PAIRS = [
    ("Is the dog here?\tNo, it sleeps.\tWhere?", "Wo?"),
    ("The cat sees the moon.\t\tIt is bright.", "Er ist hell."),
    ("Hello!", "Hallo!"),
    ("No tabs in the middle of words, please.\tA turn, a tab.", "Eine Runde, ein Tabulator."),
]
SIZES = {"unigram": 55, "bpe": 70, "character": 1000, "word": 1000}
WORDS = WordVocabulary([SEPARATOR, "▁a", "▁b", "▁c"])
LINES = st.text("abc \t", max_size=30)


def train(kind: str, separator: bool = True, **options: Any) -> Vocabularies:
    return train_vocabularies(VocabularyOptions(**{"type": kind, "size": SIZES[kind], **options}), PAIRS, separator)


@pytest.fixture(scope="module", params=SIZES)
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    return train(request.param).source


@pytest.mark.parametrize(
    ("line", "context", "turns"),
    [
        ("a\tb\tc", None, ["a", "b", "c"]),
        ("a\tb\tc", 5, ["a", "b", "c"]),
        ("a\tb\tc", 1, ["b", "c"]),
        ("a\tb\tc", 0, ["c"]),
        ("a", 3, ["a"]),
        ("", 3, [""]),
        ("\t\ta\t", 2, ["", "a", ""]),
    ],
)
def test_the_latest_turns_are_kept(line: str, context: int | None, turns: list[str]) -> None:
    assert split_turns(line, context) == turns
    assert current_turn(line) == turns[-1]


@given(LINES, st.integers(0, 4), st.none() | st.integers(1, 12))
def test_ids_are_those_of_the_pieces_and_pieces_stand_where_they_say(
    line: str, context: int, limit: int | None
) -> None:
    pieces = LineReader(context).source_pieces(WORDS, line, limit)
    assert [piece.id for piece in pieces] == LineReader(context).source_ids(WORDS, line, limit)
    for piece in pieces:
        text = line[piece.begin : piece.end]
        assert text == "\t" if piece.id == WORDS.separator else text.strip() == text != ""
    assert [piece.begin for piece in pieces] == sorted(piece.begin for piece in pieces)


@given(LINES, st.integers(0, 4))
def test_ids_are_the_turns_with_separators_between(line: str, context: int) -> None:
    turns = [WORDS.encode(turn) for turn in line.split("\t")][-context - 1 :]
    expected = [token for turn in turns[:-1] for token in (*turn, WORDS.separator)] + turns[-1]
    assert LineReader(context).source_ids(WORDS, line) == (expected if turns[-1] else [])


@given(LINES, st.integers(1, 20))
def test_a_limit_leaves_out_the_oldest_turns_whole(line: str, limit: int) -> None:
    found, every = LineReader(9).source_ids(WORDS, line, limit), LineReader(9).source_ids(WORDS, line)
    current = WORDS.encode(current_turn(line))
    assert every[len(every) - len(found) :] == found
    assert len(found) <= max(limit, len(current))
    if len(found) < len(every):
        left_out = every[: len(every) - len(found)]
        assert left_out[-1] == WORDS.separator
        last = left_out[:-1][::-1]
        turn = last.index(WORDS.separator) if WORDS.separator in last else len(last)
        assert len(found) + turn + 1 > limit, "the next turn would have fitted"


def test_without_context_a_tab_is_white_space(vocabulary: Vocabulary) -> None:
    for line, _ in PAIRS:
        assert SENTENCES.source_ids(vocabulary, line) == vocabulary.encode(line.replace("\t", " "))


def test_the_separator_is_an_id_that_no_text_gives(vocabulary: Vocabulary) -> None:
    separator = vocabulary.separator
    assert vocabulary.token(separator) == SEPARATOR
    assert len({separator, vocabulary.pad, vocabulary.unk, vocabulary.sos, vocabulary.eos}) == 5
    for text in (SEPARATOR, f"Hello {SEPARATOR} dog", "a\tb", f"▁{SEPARATOR}"):
        assert separator not in vocabulary.encode(text)
    words = vocabulary.encode("The dog")
    assert vocabulary.decode([*words, separator]) == vocabulary.decode(words) == "The dog"


def test_a_vocabulary_keeps_its_separator_when_saved(vocabulary: Vocabulary, tmp_path: Path) -> None:
    Vocabularies(vocabulary, vocabulary).save(tmp_path)
    loaded = Vocabularies.load(tmp_path).source
    assert loaded.separator == vocabulary.separator
    assert loaded.fingerprint == vocabulary.fingerprint
    assert len(loaded) == len(vocabulary) <= 1000


@pytest.mark.parametrize("kind", SIZES)
def test_only_dialogues_have_a_separator(kind: str) -> None:
    plain = train(kind, separator=False).source
    assert plain.separator is None
    with pytest.raises(UserError, match="no token that separates turns"):
        LineReader(1).check(plain)


def test_the_separator_counts_in_the_size() -> None:
    assert len(train("word", size=12).source) == len(train("word", separator=False, size=12).source) == 12
    assert len(train("bpe").source) == SIZES["bpe"]


def write(folder: Path, **columns: list[str]) -> None:
    for suffix, lines in columns.items():
        (folder / f"train.{suffix}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def options(folder: Path, context: int | None) -> DataOptions:
    return DataOptions(root=folder, source="en", target="de", history_turns=context)


def test_dialogues_from_files(tmp_path: Path) -> None:
    """Source and target files look alike, so that a direction can be turned round: of the target one turn counts."""
    write(tmp_path, en=["a\tb\tc", "d"], de=["A\tB\tC", "D"])
    assert list(open_text(options(tmp_path, 1), "train")) == [("b\tc", "C"), ("d", "D")]
    assert list(open_text(options(tmp_path, 0), "train")) == [("c", "C"), ("d", "D")]
    assert list(open_text(options(tmp_path, None), "train")) == [("a\tb\tc", "A\tB\tC"), ("d", "D")]
    fingerprints = {open_text(options(tmp_path, context), "train").fingerprint() for context in (None, 0, 1)}
    assert len(fingerprints) == 3


def test_a_tab_separated_file_of_dialogues_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("en\tde\na\tb\n", encoding="utf-8")
    assert list(open_text(options(tmp_path, None), "train")) == [("a", "b")]
    with pytest.raises(UserError, match=r"tabs between columns.*\n.*train\.en and train\.de"):
        open_text(options(tmp_path, 2), "train")


def test_an_encoded_corpus_of_dialogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    write(
        tmp_path, en=["a a a\ta b\tc", "a\t", "a a a a\tb", "a b c a b", "\t\tc"], de=["a\tb\tc", "a", "b", "c", "\ta"]
    )
    vocabularies = Vocabularies(WORDS, WORDS)
    corpus = encode_corpus(open_text(options(tmp_path, 2), "train"), vocabularies, max_length=4)
    turn, a, b, c = (WORDS.encode(word)[0] if word != SEPARATOR else WORDS.separator for word in (SEPARATOR, *"abc"))
    # The first loses its oldest turn, the second has nothing to translate, the fourth is too long by itself.
    assert [source.tolist() for source in map(corpus.source.__getitem__, range(len(corpus)))] == [
        [a, b, turn, c],
        [b],
        [turn, turn, c],
    ]
    assert (corpus.counts.kept, corpus.counts.empty, corpus.counts.too_long) == (3, 1, 1)
    assert corpus.lines.tolist() == [0, 2, 4]
    assert corpus.target[0].tolist() == [c]
    flat = encode_corpus(open_text(options(tmp_path, None), "train"), vocabularies, max_length=9)
    assert turn not in flat.source[0].tolist()


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_a_vocabulary_that_leaves_text_as_it_is_learns_no_tab(kind: str) -> None:
    vocabulary = train(kind, normalization="identity", size=75 if kind == "bpe" else 1000).source
    assert not any("\t" in vocabulary.token(index) for index in range(len(vocabulary)))
