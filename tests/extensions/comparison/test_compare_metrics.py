"""Comparisons by a metric from outside that needs the source."""

from collections.abc import Sequence

import pytest

from nmt.evaluation.scores import TestSet
from nmt.extensions.comparison.compare import CompareOptions, compare, length_scores
from nmt.extensions.comparison.report import to_html
from nmt.extensions.comparison.significance import SufficientStatistics, paired_test
from nmt.metrics.table import Metric
from nmt.recipe import registry as plugins


class LengthError(Metric):
    """How far a translation's length is from the mean of source's and reference's, in characters."""

    name = "LenErr"
    higher_is_better = False
    needs_source = True
    decimals = 3

    def sentence_scores(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], sources: Sequence[str] | None = None
    ) -> list[float]:
        assert sources is not None
        given = zip(hypotheses, references[0], sources, strict=True)
        return [abs(len(text) - (len(reference) + len(source)) / 2) for text, reference, source in given]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_added", [])
    plugins.add_component("length_error", LengthError)


SOURCES = ["aaaa", "bbbbbb"] * 20
REFERENCES = ["aaaa", "bbbbbb"] * 20
SYSTEMS = {"base": ["aa", "bbbbbbb"] * 20, "better": ["aaaa", "bbbbbbb"] * 20}
TEST_SET = TestSet(SYSTEMS, [REFERENCES], SOURCES)


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
def test_systems_are_compared_by_it(method: str) -> None:
    test = paired_test(SufficientStatistics("length_error", TEST_SET), method, 200)
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
