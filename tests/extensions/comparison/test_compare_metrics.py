"""Comparisons by a metric from outside that needs the source."""

import pytest
from length_error import REFERENCES, SOURCES, SYSTEMS, LengthError

import nmt
from nmt.evaluation.scores import TestSet
from nmt.extensions.comparison.compare import CompareOptions, compare, length_scores
from nmt.extensions.comparison.report import to_html
from nmt.extensions.comparison.significance import SufficientStatistics, paired_test


@pytest.fixture(autouse=True)
def registered() -> None:
    nmt.add_component("length_error", LengthError)


TEST_SET = TestSet(SYSTEMS, [REFERENCES], SOURCES)


def test_systems_are_compared_by_it() -> None:
    test = paired_test(SufficientStatistics("length_error", TEST_SET), 200)
    difference = test.differences["better"]
    assert difference.value == -1
    assert difference.significant
    assert test.verdict("better").startswith("better is better by 1.000 LenErr")


def test_comparisons_and_lengths_have_it() -> None:
    found = compare(TEST_SET, CompareOptions(metrics=["length_error"], sentence_metric="length_error"))
    assert found["systems"]["better"]["scores"]["length_error"]["score"] == 0.5
    assert found["changes"]["better"]["num_better"] == 20
    assert "1.500 ± " in to_html(found)
    rows = length_scores(TEST_SET, [SufficientStatistics("length_error", TEST_SET)], [4])
    assert [row["scores"]["length_error"]["base"] for row in rows] == [1.5]
