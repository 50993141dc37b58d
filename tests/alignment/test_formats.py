"""Alignments as Pharaoh and JSON lines."""

import io
import json

import numpy as np
import pytest

from nmt.alignment.formats import to_json, write_alignments
from nmt.alignment.links import WordAlignment
from nmt.errors import UserError

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
    both = WordAlignment(*shape, source_figures={"ponder": (1.0, 2.33333)}, target_figures={"ponder": [4.0]})
    assert to_json(both)["ponder"] == {"source": [1.0, 2.3333], "target": [4.0]}
    one = WordAlignment(*shape, target_figures={"ponder": (4.0,)})
    assert to_json(one)["ponder"] == {"target": [4.0]}
    with pytest.raises(ValueError, match="1 figures 'ponder' for 2 words"):
        WordAlignment(*shape, source_figures={"ponder": (1.0,)})


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


def test_pharaoh_lines_keep_pairs_without_links() -> None:
    stream = io.StringIO()
    write_alignments([PAIR, EMPTY, PAIR], "pharaoh", stream)
    assert stream.getvalue() == "0-0 1-1\n\n0-0 1-1\n"


def test_unknown_format() -> None:
    with pytest.raises(UserError, match="unknown alignment format 'xml'"):
        write_alignments([PAIR], "xml", io.StringIO())  # type: ignore[arg-type]
