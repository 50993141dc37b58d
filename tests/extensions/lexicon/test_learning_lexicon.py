"""The lexicon that is learned: counts, probabilities, file."""

from pathlib import Path

import numpy as np

from nmt.alignment.lexicon import UNSEEN, Lexicon
from nmt.alignment.links import Weights
from nmt.extensions.lexicon.learning import LEAST_COUNT, counted, write_lexicon
from nmt.extensions.lexicon.posterior import LEAST_SHARE

CORPUS: list[tuple[list[str], list[str], Weights]] = [
    (["der", "Hund"], ["the", "dog"], np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)),
    (["Der", "Hund,"], ['"the', 'cat"'], np.array([[0.6, 0.4], [LEAST_SHARE / 2, 0.8]], np.float32)),
]


def test_probabilities_are_shares_of_the_counts_and_a_little_of_every_word() -> None:
    lexicon = counted(CORPUS)
    assert len(lexicon) == 5, "der and cat are below the least share"
    found = lexicon.probability(["der", "Hund"], ["the", "dog", "cat"])
    counts = np.array([[1.5, 0.5], [0.3, 0.7], [0, 0.8]])
    prior = counts.sum(axis=1, keepdims=True) / counts.sum()
    np.testing.assert_allclose(found, (counts + UNSEEN * prior) / (counts.sum(axis=0) + UNSEEN), rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)


def test_case_and_punctuation_around_words_do_not_count() -> None:
    lexicon = counted(CORPUS)
    plain = lexicon.probability(["hund", "!"], ["dog", "the"])
    np.testing.assert_array_equal(lexicon.probability(["»HUND«.", "!"], ["Dog!", "(the"]), plain)


def test_it_is_kept_as_a_file_that_people_can_read(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    lexicon = counted(CORPUS)
    write_lexicon(lexicon, path)
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    assert [(source, target) for source, target, _ in lines][:2] == [("der", "the"), ("der", "dog")]
    np.testing.assert_allclose(
        Lexicon.load(path).probability(["der", "hund"], ["the", "cat"]),
        lexicon.probability(["der", "hund"], ["the", "cat"]),
        rtol=1e-3,
    )


def test_a_word_as_long_as_a_line_of_text_can_be_read_back(tmp_path: Path) -> None:
    """A line of the file holds two words, each of which may fill a line of text."""
    longest = "a" * 130_000
    path = tmp_path / "lexicon.tsv"
    write_lexicon(Lexicon({longest: {longest: 1.0}}), path)
    assert len(Lexicon.load(path)) == 1


def test_rare_pairs_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    lexicon = Lexicon({"hund": {"cat": LEAST_COUNT * 0.99, "hound": LEAST_COUNT, "dog": 3.0}})
    write_lexicon(lexicon, path)
    assert path.read_text("utf-8") == f"hund\tdog\t3\nhund\thound\t{LEAST_COUNT:g}\n"
