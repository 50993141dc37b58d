"""The lexicon that a model's own alignments give, and what it does to them."""

from pathlib import Path

import numpy as np
import pytest

from nmt.alignment.extract import balance, word_links
from nmt.alignment.lexicon import LEAST_SHARE, UNSEEN, Lexicon, evidence
from nmt.alignment.links import Weights, WordAlignment
from nmt.config import LinkOptions
from nmt.errors import UserError


def aligned(source: str, target: str, weights: list[list[float]]) -> WordAlignment:
    return WordAlignment(tuple(source.split()), tuple(target.split()), np.array(weights, np.float32), ())


CORPUS = [
    aligned("der Hund", "the dog", [[0.9, 0.1], [0.3, 0.7]]),
    aligned("Der Hund,", '"the cat"', [[0.6, 0.4], [0.2, 0.8]]),
]


def test_counts_are_those_of_the_balanced_attention() -> None:
    lexicon = Lexicon.learn(CORPUS)
    counts: dict[tuple[str, str], float] = {}
    for alignment, target in zip(CORPUS, (("the", "dog"), ("the", "cat")), strict=True):
        share = balance(alignment.weights)
        for t, word in enumerate(target):
            for s, source in enumerate(("der", "hund")):
                counts[source, word] = counts.get((source, word), 0) + float(share[t, s])
    total = sum(counts.values())
    assert len(lexicon) == len(counts) == 6
    found = lexicon.probability(["der", "Hund"], ["the", "dog", "cat"])
    for s, source in enumerate(("der", "hund")):
        all_of_source = sum(count for (word, _), count in counts.items() if word == source)
        for t, target_word in enumerate(("the", "dog", "cat")):
            prior = sum(count for (_, word), count in counts.items() if word == target_word) / total
            expected = (counts[source, target_word] + UNSEEN * prior) / (all_of_source + UNSEEN)
            assert found[t, s] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)


def test_case_and_punctuation_around_words_do_not_count() -> None:
    lexicon = Lexicon.learn(CORPUS)
    plain = lexicon.probability(["hund", "!"], ["dog", "the"])
    np.testing.assert_array_equal(lexicon.probability(["»HUND«.", "!"], ["Dog!", "(the"]), plain)


def test_evidence_is_attention_times_probability_shared_out() -> None:
    lexicon, alignment = Lexicon.learn(CORPUS), CORPUS[0]
    expected = balance(alignment.weights).clip(LEAST_SHARE) * lexicon.probability(alignment.source, alignment.target)
    found = evidence(alignment.source, alignment.target, alignment.weights, lexicon)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)
    assert evidence(alignment.source, alignment.target, alignment.weights, None) is alignment.weights


def test_known_words_settle_what_attention_leaves_open() -> None:
    lexicon = Lexicon.learn([aligned("Hund", "dog", [[1.0]]), aligned("Katze", "cat", [[1.0]])] * 5)
    weights: Weights = np.array([[0.5, 0.5], [0.55, 0.45]], np.float32)
    source, target = ["Hund", "Katze"], ["cat", "dog"]
    assert word_links(weights, LinkOptions(symmetrize="none")) == ((0, 1), (1, 0))
    swapped: Weights = weights[::-1].copy()
    assert word_links(swapped, LinkOptions(symmetrize="none")) == ((0, 0), (1, 1))
    assert word_links(evidence(source, target, swapped, lexicon), LinkOptions()) == ((0, 1), (1, 0))


def test_words_that_were_never_seen_are_left_to_attention() -> None:
    lexicon = Lexicon.learn(CORPUS)
    weights: Weights = np.array([[0.8, 0.2], [0.3, 0.7]], np.float32)
    found = evidence(["Kamel", "Oase"], ["camel", "oasis"], weights, lexicon)
    np.testing.assert_allclose(found, balance(weights), rtol=1e-4)
    assert evidence([], [], np.zeros((0, 0), np.float32), lexicon).shape == (0, 0)
    assert Lexicon({}).probability(["a"], ["b"]).shape == (1, 1)


def test_it_is_kept_as_a_file_that_people_can_read(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    lexicon = Lexicon.learn(CORPUS)
    lexicon.save(path)
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    assert [(source, target) for source, target, _ in lines][:2] == [("der", "the"), ("der", "cat")]
    np.testing.assert_allclose(
        Lexicon.load(path).probability(["der", "hund"], ["the", "cat"]),
        lexicon.probability(["der", "hund"], ["the", "cat"]),
        rtol=1e-3,
    )


@pytest.mark.parametrize("line", ["hund dog 1", "hund\tdog", "hund\tdog\tmany", "hund\tdog\tnan", "hund\tdog\t-1", ""])
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text(f"hund\tdog\t1\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"lexicon\.tsv, line 2"):
        Lexicon.load(path)
