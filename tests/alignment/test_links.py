"""Merging pieces into words, taking links, and the Pharaoh format."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.aligner import membership, merge_to_words
from nmt.alignment.extract import LinkOptions, extract_links
from nmt.alignment.links import (
    Link,
    WordAlignment,
    format_pharaoh,
    parse_pharaoh,
    read_pharaoh,
    to_json,
    write_alignments,
)
from nmt.core.errors import UserError

links_sets = st.sets(st.tuples(st.integers(0, 99), st.integers(0, 99)))


def test_merge_sums_source_pieces_and_averages_target_pieces() -> None:
    # Source: a word of two pieces, a word of one, EOS. Target: a word of one piece, a word of two.
    weights_TS = np.array([[0.2, 0.3, 0.4, 0.1], [0.5, 0.2, 0.1, 0.2], [0.1, 0.1, 0.6, 0.2]])
    merged = merge_to_words(weights_TS, membership([0, 0, 1, -1], 2), membership([0, 1, 1], 2))
    assert merged.dtype == np.float32
    np.testing.assert_allclose(merged, np.array([[0.5, 0.4], [(0.7 + 0.2) / 2, (0.1 + 0.6) / 2]]), rtol=1e-6)


def test_merge_drops_target_eos_and_keeps_words_without_pieces_at_zero() -> None:
    weights_TS = np.array([[0.9, 0.1], [0.3, 0.7]])
    merged = merge_to_words(weights_TS, membership([0, 2], 3), membership([1, -1], 2))
    np.testing.assert_allclose(merged, np.array([[0, 0, 0], [0.9, 0, 0.1]]), rtol=1e-6)


def test_argmax_links_each_target_word_once_and_rows_of_zeros_not_at_all() -> None:
    weights = np.array([[0.1, 0.6, 0.3], [0.0, 0.0, 0.0], [0.4, 0.4, 0.2]], dtype=np.float32)
    assert extract_links(weights, LinkOptions()) == ((0, 2), (1, 0))


def test_threshold_takes_all_cells_from_the_threshold_on() -> None:
    weights = np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.2]])
    assert extract_links(weights, LinkOptions(method="threshold", threshold=0.25)) == ((0, 0), (0, 1), (1, 0), (1, 1))
    assert extract_links(weights, LinkOptions(method="threshold", threshold=0.5)) == ((0, 0), (1, 0), (1, 1))


@pytest.mark.parametrize(
    ("line", "sure", "possible"),
    [
        ("0-0 1-2 3?4", {(0, 0), (1, 2)}, {(3, 4)}),
        ("10p2\t0-1\r\n", {(0, 1)}, {(10, 2)}),
        ("1-1 1?1 1-1", {(1, 1)}, set()),
        ("  \n", set(), set()),
    ],
)
def test_parse_pharaoh(line: str, sure: set[Link], possible: set[Link]) -> None:
    assert parse_pharaoh(line) == (sure, possible)


@pytest.mark.parametrize("bad", ["0:1", "-1-2", "1-", "1--2", "a-b", "1-2-3", "0-0,1-1", "²-1", "9" * 5000 + "-0"])
def test_parse_pharaoh_names_the_place_and_the_bad_link(bad: str) -> None:
    with pytest.raises(UserError, match=rf"^gold\.txt, line 7: '{bad[:40]}.{{,39}}\n.*i-j"):
        parse_pharaoh(f"0-0 {bad}", where="gold.txt, line 7")


@given(links_sets)
def test_pharaoh_round_trip(links: set[Link]) -> None:
    assert parse_pharaoh(format_pharaoh(links)) == (links, set())


def test_format_pharaoh_sorts_by_number() -> None:
    assert format_pharaoh([(10, 0), (2, 1), (2, 0)]) == "2-0 2-1 10-0"
    assert format_pharaoh([]) == ""


def test_read_pharaoh_keeps_lines_of_sentences_without_links(tmp_path: Path) -> None:
    path = tmp_path / "links"
    path.write_bytes(b"\xef\xbb\xbf0-0\r\n\r\n1?1 2-0")
    assert read_pharaoh(path) == [({(0, 0)}, set()), (set(), set()), ({(2, 0)}, {(1, 1)})]


def test_read_pharaoh_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "links"
    path.write_text("0-0\n\n0-0 1_1\n")
    with pytest.raises(UserError, match=r"links, line 3: '1_1' is not a link"):
        read_pharaoh(path)


PAIR = WordAlignment(
    ("ein", "Haus"), ("a", "house"), np.array([[0.30004, 0.1], [0, 1]], np.float32), ((0, 0), (1, 1)), -1.5
)
EMPTY = WordAlignment((), ("x",), np.zeros((1, 0), np.float32), ())


def test_json_schema() -> None:
    assert to_json(PAIR) == {
        "source": ["ein", "Haus"],
        "target": ["a", "house"],
        "links": [[0, 0], [1, 1]],
        "weights": [[0.3, 0.1], [0.0, 1.0]],
        "score": -1.5,
    }


def test_figures_of_words_stand_under_their_name() -> None:
    shape = (("ein", "Haus"), ("a",), np.ones((1, 2), np.float32), ())
    both = WordAlignment(*shape, source_diagnostics={"ponder": (1.0, 2.33333)}, target_diagnostics={"ponder": [4.0]})
    assert to_json(both)["ponder"] == {"source": [1.0, 2.3333], "target": [4.0]}
    one = WordAlignment(*shape, target_diagnostics={"ponder": (4.0,)})
    assert to_json(one)["ponder"] == {"target": [4.0]}


@pytest.mark.parametrize("score", [None, float("-inf"), float("nan")])
def test_score_that_json_cannot_say_is_null(score: float | None) -> None:
    alignment = WordAlignment(("a",), ("b",), np.ones((1, 1), np.float32), (), score)
    assert to_json(alignment)["score"] is None


def test_json_lines_stay_one_line_a_pair_whatever_the_words() -> None:
    words = ("Größe", "猫", "\u2028", "\x85", "\n", '"', "\ud800", "😀")
    odd = WordAlignment(words, ("x",), np.zeros((1, len(words)), np.float32), ())
    stream = io.StringIO()
    write_alignments(iter([PAIR, odd, EMPTY]), "json", stream)
    text = stream.getvalue()
    assert "Größe" in text
    text.encode("utf-8")
    lines = text.splitlines()
    assert [json.loads(line)["source"] for line in lines] == [["ein", "Haus"], list(words), []]
    assert lines[0].endswith('"weights": [[0.3, 0.1], [0.0, 1.0]], "score": -1.5}')
