"""The mean F1 of labels, by hand and of samples."""

import pytest

from nmt.core.errors import UserError
from nmt.evaluation.scores import score_corpus
from nmt.metrics.table import METRICS


def test_accuracy_and_macro_f1_of_labels() -> None:
    """By hand: of a two of three are found and one other is called a, of b one of two, c is the third label."""
    wanted, found = ["a", "a", "a", "b", "b ", "c"], ["a", "a", "c", "b", "a", "c"]
    scores = score_corpus(found, [wanted], ["accuracy", "macro_f1"])
    assert scores["accuracy"].score == pytest.approx(100 * 4 / 6)
    f1 = {"a": 2 * 2 / (3 + 3), "b": 2 * 1 / (1 + 2), "c": 2 * 1 / (2 + 1)}
    assert scores["macro_f1"].score == pytest.approx(100 * sum(f1.values()) / 3)
    assert score_corpus(["no label"], [["a"]], ["macro_f1"])["macro_f1"].score == 0
    with pytest.raises(UserError, match="one reference"):
        score_corpus(found, [wanted, found], ["macro_f1"])


def test_macro_f1_of_a_sample_is_the_mean_over_the_labels_that_its_reference_has() -> None:
    wanted, found = ["a", "a", "b", "c", "a"], ["a", "b", "b", "a", "c"]
    metric = METRICS["macro_f1"]()
    statistics_NF = metric.statistics(found, [wanted])
    for sample in ([0, 1, 2, 3, 4], [0, 0, 1], [2, 2], [0, 4, 2]):  # the last ones lack labels, of which some are found
        expected = metric.corpus_score([found[i] for i in sample], [[wanted[i] for i in sample]]).score
        assert metric.score_from(statistics_NF[sample].sum(axis=0)) == pytest.approx(expected)
    assert metric.score_from(statistics_NF[[0, 4, 2]].sum(axis=0)) == pytest.approx(100 * (2 / 3 + 1) / 2)
