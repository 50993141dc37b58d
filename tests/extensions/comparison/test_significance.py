"""The tests are sacreBLEU's, to the digit, and a planted difference is told from chance."""

import random

import pytest
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from nmt.core.errors import UserError
from nmt.evaluation.scores import TestSet
from nmt.extensions.comparison.significance import MetricTest, SufficientStatistics, bootstrap_interval, paired_test

WORDS = [*"abcdefghijklmnopqrst"]


def sentences(count: int, seed: int) -> list[str]:
    made = random.Random(seed)
    return [" ".join(made.choices(WORDS, k=made.randint(5, 14))) for _ in range(count)]


def spoilt(lines: list[str], share: float, seed: int) -> list[str]:
    """Each word replaced by another one with probability ``share``."""
    made = random.Random(seed)
    return [" ".join(made.choice(WORDS) if made.random() < share else w for w in line.split()) for line in lines]


REFERENCES = sentences(120, 0)
SYSTEMS = {
    "base": spoilt(REFERENCES, 0.40, 1),
    "alike": spoilt(REFERENCES, 0.40, 2),
    "better": spoilt(REFERENCES, 0.25, 3),
}


def paired(key: str, systems: dict[str, list[str]], num_trials: int) -> MetricTest:
    return paired_test(SufficientStatistics(key, TestSet(systems, [REFERENCES])), num_trials)


@pytest.mark.quick("bleu-*")
@pytest.mark.parametrize(("key", "metric"), [("bleu", BLEU), ("chrf", CHRF), ("ter", TER)])
def test_figures_are_those_of_sacrebleu(key: str, metric: type[Metric]) -> None:
    """By the class that its program prints the figures of."""
    named = list(SYSTEMS.items())
    signatures, expected = PairedTest(named, {key: metric()}, [REFERENCES], test_type="ar", n_samples=200)()
    _, resampled = PairedTest(named, {key: metric()}, [REFERENCES], test_type="bs", n_samples=200)()
    statistics = SufficientStatistics(key, TestSet(SYSTEMS, [REFERENCES]))
    test = paired_test(statistics, 200)
    assert list(test.scores) == list(SYSTEMS)
    assert [score.signature for score in test.scores.values()] == [str(*signatures.values())] * 3
    results = zip(test.scores.items(), expected[test.metric.name], resampled[test.metric.name], strict=True)
    for (system, score), result, interval in results:
        assert score.score == pytest.approx(result.score, abs=1e-5)
        assert system == "base" or test.differences[system].p_value == result.p_value
        confidence = bootstrap_interval(test.metric, score, statistics.of_system[system], 200).confidence
        limits = confidence["mean"], confidence["half_width"]
        assert limits == pytest.approx((interval.mean, interval.ci), abs=1e-4)


@pytest.mark.quick("bleu")
@pytest.mark.parametrize("key", ["bleu", "chrf", "ter"])
def test_a_planted_difference_is_found_and_chance_is_not(key: str) -> None:
    test = paired(key, SYSTEMS, 300)
    alike, better = test.differences["alike"], test.differences["better"]
    assert (better.value > 0) == test.metric.higher_is_better
    assert better.significant
    assert better.low * better.high > 0
    assert better.low < better.value < better.high
    assert not alike.significant
    assert alike.low < 0 < alike.high
    assert test.verdict("alike").startswith("No significant difference: ")
    assert "may be chance" in test.verdict("alike")


def test_who_is_ahead_is_named_with_an_interval_from_its_side() -> None:
    """With the better one as the baseline the verdict names the baseline, and all figures stay positive."""
    turned = {"better": SYSTEMS["better"], "base": SYSTEMS["base"]}
    for key in ("bleu", "ter"):
        test = paired(key, turned, 200)
        difference = test.differences["base"]
        low, high = sorted((abs(difference.low), abs(difference.high)))
        size = f"{abs(difference.value):.2f} {test.metric.name}"
        expected = f"better is better by {size} (95 % interval {low:.2f} to {high:.2f}, p = "
        assert test.verdict("base").startswith(expected)


def test_the_same_translations_are_never_called_different() -> None:
    """sacreBLEU's own p is its smallest here."""
    twins = {"one": SYSTEMS["base"], "two": list(SYSTEMS["base"])}
    test = paired("bleu", twins, 100)
    difference = test.differences["two"]
    assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)
    assert test.verdict("two").startswith("two and one have the same BLEU")


def test_few_sentences_prove_little() -> None:
    """Sign test: of k sentences that differ, all may be better by chance with 2 in 2^k. sacreBLEU says 1 in 301."""
    for num_different, least in ((1, 1.0), (2, 0.5), (5, 0.0625)):
        better = SYSTEMS["base"].copy()
        better[:num_different] = REFERENCES[:num_different]
        test = paired("bleu", {"a": SYSTEMS["base"], "b": better}, 300)
        difference = test.differences["b"]
        assert difference.value > 0
        assert difference.p_value >= least
        assert not difference.significant
    one = SufficientStatistics("chrf", TestSet({"a": ["a cat sat"], "b": ["a cat sits"]}, [["a cat sits"]]))
    assert paired_test(one, 100).verdict("b").startswith("No significant difference")


def test_equal_scores_and_counts_are_no_evidence() -> None:
    """Of seven labels that differ, six or more are better by chance with 1 in 8; two systems that score 0 are alike."""
    labels = {"a": ["y"] * 6 + ["x"] * 44, "b": ["x"] * 6 + ["y"] + ["x"] * 43}
    test = paired_test(SufficientStatistics("accuracy", TestSet(labels, [["x"] * 50])), 2000)
    assert test.differences["b"].p_value == pytest.approx(1 / 8, abs=0.03)
    nothing = {"a": ["none of it"] * 60, "b": ["and not any"] * 60}
    difference = paired_test(SufficientStatistics("bleu", TestSet(nothing, [["word"] * 60])), 100).differences["b"]
    assert (difference.value, difference.p_value, difference.significant) == (0, 1, False)


def test_the_seed_is_sacrebleus(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = SufficientStatistics("bleu", TestSet(SYSTEMS, [REFERENCES]))
    first = paired_test(statistics, 100)
    assert paired_test(statistics, 100) == first
    assert "seed:12345" in first.scores["base"].signature
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    other = paired_test(statistics, 100)
    assert "seed:7" in other.scores["base"].signature
    assert other.differences["better"] != first.differences["better"]
    monkeypatch.setenv("SACREBLEU_SEED", "seven")
    with pytest.raises(UserError, match="SACREBLEU_SEED"):
        paired_test(statistics, 100)
