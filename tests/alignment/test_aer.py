"""Alignment error rate on hand-computed examples, and its files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.aer import score_files, score_links
from nmt.alignment.links import Link
from nmt.core.errors import UserError

links_sets = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)))


def test_hand_computed() -> None:
    """Links are counted over sentences, and figures are no means of those of sentences."""
    # A: 5 links, of which 1 is sure, 2 are possible (that one and (1, 2)), 3 are wrong. S: 3 links.
    predicted = [{(0, 0), (1, 2)}, {(4, 4), (5, 5), (1, 1)}]
    score = score_links(predicted, sure=[{(0, 0)}, {(3, 3), (2, 2)}], possible=[{(1, 2)}, {(2, 3)}])
    assert score.precision == 2 / 5
    assert score.recall == 1 / 3
    assert score.aer == 1 - (1 + 2) / (5 + 3)
    assert (score.num_links, score.num_sure, score.num_possible, score.num_sentences) == (5, 3, 5, 2)


@given(st.lists(st.tuples(links_sets, links_sets, links_sets), max_size=4))
def test_sure_links_are_possible_whether_repeated_or_not(rows: list[tuple[set[Link], set[Link], set[Link]]]) -> None:
    predicted, sure, possible = ([row[i] for row in rows] for i in range(3))
    both = [s | p for s, p in zip(sure, possible, strict=True)]
    score = score_links(predicted, sure, possible)
    assert score == score_links(predicted, sure, both)
    assert 0 <= score.aer <= 1


def test_one_gold_file_says_the_same_as_two(tmp_path: Path) -> None:
    links, one, sure, possible = (tmp_path / name for name in ("links", "one", "sure", "possible"))
    links.write_text("0-0 1-1\n1-1\n")
    one.write_text("0-0 1?1\n2?2\n")
    sure.write_text("0-0\n\n")
    for text in ("0-0 1-1\n2-2\n", "1-1\n2?2\n"):
        possible.write_text(text)
        assert score_files(links, sure, possible) == score_files(links, one)
    score = score_files(links, one)
    assert (score.num_sure, score.num_possible, score.precision) == (1, 3, 2 / 3)


def test_files_of_unequal_length_give_both_counts(tmp_path: Path) -> None:
    two, three = tmp_path / "two", tmp_path / "three"
    two.write_text("0-0\n0-0\n")
    three.write_text("0-0\n0-0\n\n")
    for call in (lambda: score_files(two, three), lambda: score_files(three, three, two)):
        with pytest.raises(UserError, match=r"two has 2 lines, .*three has 3.*\n.*a line for each sentence pair"):
            call()


@pytest.mark.parametrize("text", ["", "\n\n", "0?0\n"])
def test_gold_without_sure_links(tmp_path: Path, text: str) -> None:
    gold = tmp_path / "gold"
    gold.write_text(text)
    with pytest.raises(UserError, match="gold holds no sure link"):
        score_files(gold, gold)
