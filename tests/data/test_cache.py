"""Encoded corpora: what is dropped, and when the cache is used, renewed or refused."""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from nmt.core.errors import UserError
from nmt.data.cache import Counts, EncodedCorpus, cache_directory, encode_corpus
from nmt.data.sources import ParallelText
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary

WORDS = ["▁a", "▁b", "▁c", "▁d"]


class Text(ParallelText):
    """Pairs in memory, which counts how often it is read."""

    name = "the test's text"

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs, self.times_read = list(pairs), 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self.times_read += 1
        yield from self.pairs

    def fingerprint(self) -> str:
        return repr(self.pairs)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path))
    return tmp_path / "corpora"


def entries(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.name != ".lock"]


def vocabularies(words: Sequence[str] = WORDS) -> Vocabularies:
    joint = WordVocabulary(words)
    return Vocabularies(joint, joint)


def ids(corpus: EncodedCorpus) -> list[tuple[list[int], list[int]]]:
    return [tuple(side[index].tolist() for side in corpus.sides) for index in range(len(corpus))]  # type: ignore[misc]


def test_empty_and_long_pairs_are_dropped_counted_and_leave_the_line_numbers_right() -> None:
    text = Text(
        [("a", "b"), ("", "a"), ("a b c d", "a"), (" \t", " "), ("b c d", "d c b"), ("a", "a b c d"), ("d", "")]
    )
    corpus = encode_corpus(text, vocabularies(), max_length=3)
    assert ids(corpus) == [([4], [5]), ([5, 6, 7], [7, 6, 5])]
    assert corpus.counts == Counts(2, empty=3, too_long=2, target_pieces=4, longest=3)
    assert corpus.lines.tolist() == [0, 4]
    assert corpus.source.lengths.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], r"no sentence pair is left \(0 empty, 0 longer"),
        ([("", "a"), ("a", "")], r"no sentence pair is left \(2 empty, 0 longer"),
        ([("a a a a a", "a")], r"(?s)no sentence pair is left \(0 empty, 1 longer than 4 pieces.*data\.max_length"),
    ],
)
def test_a_corpus_without_pairs_is_refused(pairs: list[tuple[str, str]], message: str) -> None:
    for _ in range(2):  # the second time it comes from the cache
        with pytest.raises(UserError, match=message):
            encode_corpus(Text(pairs), vocabularies(), max_length=4)


def test_the_second_time_nothing_is_read() -> None:
    text = Text([("a b", "c"), ("d", "d d")])
    first = encode_corpus(text, vocabularies(), 9)
    second = encode_corpus(text, vocabularies(), 9)
    assert text.times_read == 1
    assert ids(second) == ids(first) == [([4, 5], [6]), ([7], [7, 7])]


def test_text_vocabulary_and_limit_each_have_a_cache_of_their_own(cache: Path) -> None:
    text = Text([("a b", "c"), ("d", "d d")])
    encode_corpus(text, vocabularies(), 9)
    assert ids(encode_corpus(Text([("a b", "d")]), vocabularies(), 9)) == [([4, 5], [7])]
    assert ids(encode_corpus(text, vocabularies(WORDS[::-1]), 9))[0] == ([7, 6], [5])
    assert ids(encode_corpus(Text([*text.pairs, ("a", "a")]), vocabularies(), 1)) == [([4], [4])]
    separate = Vocabularies(WordVocabulary(WORDS), WordVocabulary(WORDS[::-1]))
    assert ids(encode_corpus(text, separate, 9))[0] == ([4, 5], [5])
    assert ids(encode_corpus(text, vocabularies(), 9)) == [([4, 5], [6]), ([7], [7, 7])]
    assert len(entries(cache)) == 5


def test_ids_beyond_16_bits_survive() -> None:
    words = [f"▁w{number}" for number in range(70_000)]
    corpus = encode_corpus(Text([("w0 w69999", "w65531 w65532")]), vocabularies(words), 9)
    assert ids(corpus) == [([4, 70_003], [65_535, 65_536])]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, UserError])
def test_a_write_that_is_cut_short_is_not_taken_for_a_corpus(cache: Path, kind: type[BaseException]) -> None:
    class Broken(Text):
        def __iter__(self) -> Iterator[tuple[str, str]]:
            yield self.pairs[0]
            raise kind("stopped")

    pairs = [("a b", "c"), ("d", "d d")]
    with pytest.raises(kind):
        encode_corpus(Broken(pairs), vocabularies(), 9)
    assert entries(cache) == []
    assert len(encode_corpus(Text(pairs), vocabularies(), 9)) == 2


def test_a_cache_that_somebody_cleaned_in_part_is_made_again(cache: Path) -> None:
    text = Text([("a b", "c"), ("d", "d d")])
    encode_corpus(text, vocabularies(), 9)
    (folder,) = entries(cache)
    (folder / "meta.json").unlink()
    assert len(encode_corpus(text, vocabularies(), 9)) == 2
    assert json.loads((folder / "meta.json").read_text())["counts"]["kept"] == 2
    for name in ("lines", "source.ids", "target.ids", "source.offsets"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 16 * 8])
        with pytest.raises(UserError, match="is damaged"):
            encode_corpus(text, vocabularies(), 9)
        (folder / name).write_bytes(content)
    (folder / "source.ids").unlink()
    with pytest.raises(UserError, match="is damaged"):
        encode_corpus(text, vocabularies(), 9)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_CACHE", "/one")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_directory() == Path("/one")
    monkeypatch.delenv("NMT_CACHE")
    assert cache_directory() == Path("/two/nmt")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "nmt"


@pytest.mark.posix
def test_a_cache_of_several_users_is_read_by_all_or_refused_with_a_message(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_corpus(text := Text([("a", "b")]), vocabularies(), 3)
    [folder] = entries(cache)
    assert folder.stat().st_mode == cache.stat().st_mode  # as the umask has it
    real = os.stat

    def stat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(f"{folder}{os.sep}"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr("nmt.data.cache.move", Mock(side_effect=OSError(errno.ENOTEMPTY, "Directory not empty")))
    with pytest.raises(UserError, match=r"(?s)can't be written.*NMT_CACHE"):
        encode_corpus(text, vocabularies(), 3)
