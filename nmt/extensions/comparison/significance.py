"""Whether the difference between two systems is more than chance: a paired test for any metric.

The test is paired approximate randomisation (Riezler & Maxwell 2005); intervals come from bootstrap resampling (Koehn
2004). Both resample the sufficient statistics of :meth:`nmt.metrics.table.Metric.statistics`; for the metrics of
sacreBLEU they draw the same samples as sacreBLEU with the same seed (``SACREBLEU_SEED``, 12345).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nmt.core.errors import UserError
from nmt.evaluation.scores import TestSet
from nmt.metrics.table import METRICS, FloatArray, Metric, SacreBleuMetric, Score

NUM_TRIALS, NUM_SAMPLES = 10_000, 1000
"""sacreBLEU's defaults: trials of swapping translations, and samples of sentences."""

LEVEL, ROUNDING = 0.05, 1e-9
"""Differences with a smaller p are called significant; those of scores that are this near are equal."""


def bootstrap(metric: Metric, statistics_NF: FloatArray, num_samples: int, seed: int) -> FloatArray:
    """The scores, (R,), of samples of the sentences drawn with replacement: the samples that sacreBLEU draws."""
    random, num_sentences = np.random.default_rng(seed), len(statistics_NF)
    samples = (random.choice(num_sentences, num_sentences, replace=True) for _ in range(num_samples))
    counts = (np.bincount(sample, minlength=num_sentences) for sample in samples)
    return np.array([metric.score_from(count_N @ statistics_NF) for count_N in counts])


def interval(samples_R: FloatArray) -> tuple[float, float]:
    """The limits of 95 % of the samples, cut as sacreBLEU cuts: a fortieth on each side."""
    ordered = np.sort(samples_R)
    cut = len(ordered) // 40
    return float(ordered[cut]), float(ordered[-1 - cut])


def with_interval(score: Score, samples_R: FloatArray, **settings: int) -> Score:
    """Adds the interval of the samples, and the settings (``bs``, ``ar``, ``seed``) to sacreBLEU's signature."""
    low, high = interval(samples_R)
    limits = {"mean": round(float(samples_R.mean()), 4), "half_width": round(0.5 * (high - low), 4)}
    first, *others = score.signature.split("|")
    signature = "|".join([first, *(f"{name}:{value}" for name, value in settings.items()), *others])
    return replace(score, signature=signature, confidence={"level": 0.95, **limits, "resamples": len(samples_R)})


def bootstrap_interval(metric: Metric, score: Score, statistics_NF: FloatArray, num_samples: int) -> Score:
    """Adds the interval of a score by bootstrap resampling (Koehn 2004), given the statistics of its sentences."""
    seed = check_seed()
    return with_interval(score, bootstrap(metric, statistics_NF, num_samples, seed), bs=num_samples, seed=seed)


def check_seed() -> int:
    """The seed of resampling: sacreBLEU's variable SACREBLEU_SEED."""
    given = os.environ.get("SACREBLEU_SEED", "12345")
    if not given.isdecimal():
        raise UserError(f"SACREBLEU_SEED is {given!r}, which is not a seed.", "Set it to a number.")
    return int(given)


class SufficientStatistics:
    """The sufficient statistics of each sentence of each system, computed once for all figures of a metric."""

    def __init__(self, key: str, test_set: TestSet, tokenize: str | None = None) -> None:
        self.key, self.metric = key, METRICS[key](tokenize)
        self.of_system = {
            name: self.metric.statistics(texts, test_set.references, test_set.source)
            for name, texts in test_set.systems.items()
        }
        """Statistics (N, F) by system."""

    def score(self, system: str, sentences: Sequence[int] | None = None) -> float:
        """The score of a system on some sentences, or on all: the corpus score of a file of just those."""
        rows_NF = self.of_system[system]
        return self.metric.score_from((rows_NF if sentences is None else rows_NF[sentences]).sum(axis=0))


@dataclass(frozen=True)
class Difference:
    """A system against the baseline: score minus score, whatever is better.

    ``low`` and ``high`` are the limits of 95 % of the differences in bootstrap samples. ``p_value`` is how often
    chance alone gives a difference of this size.
    """

    value: float
    low: float
    high: float
    p_value: float
    significant: bool


@dataclass(frozen=True)
class MetricTest:
    """All systems under one metric: the score of each, the baseline first, and the differences of the others."""

    metric: Metric
    scores: dict[str, Score]
    differences: dict[str, Difference]

    def ahead(self, system: str) -> str | None:
        """The better one of a system and the baseline, however little; None if their scores are the same."""
        value = self.differences[system].value
        is_better = (value > 0) == self.metric.higher_is_better
        return None if not value else system if is_better else next(iter(self.scores))

    def verdict(self, system: str) -> str:
        """A sentence about a system against the baseline, with the interval as seen from the one that is ahead."""
        baseline, name, difference = next(iter(self.scores)), self.metric.name, self.differences[system]
        sign, digits = -1 if difference.value < 0 else 1, f".{self.metric.decimals}f"
        low, high = sorted((sign * difference.low, sign * difference.high))
        limits = f"{low:{digits}} to {high:{digits}}".replace("-", "−")
        interval = f"(95 % interval {limits}, p = {difference.p_value:.2g})"
        better = self.ahead(system)
        if better is None:
            return f"{system} and {baseline} have the same {name} {interval}."
        size = f"{abs(difference.value):{digits}} {name}"
        if difference.significant:
            return f"{better} is better by {size} {interval}."
        return f"No significant difference: {better} is ahead by {size}, which may be chance {interval}."


def paired_test(statistics: SufficientStatistics, num_trials: int = NUM_TRIALS) -> MetricTest:
    """Tests each of the other systems against the first one."""
    seed = check_seed()
    metric, (baseline, *others) = statistics.metric, statistics.of_system
    samples = {name: bootstrap(metric, rows_NF, NUM_SAMPLES, seed) for name, rows_NF in statistics.of_system.items()}
    scores = {}
    for name, samples_R in samples.items():
        score = Score(metric.name, statistics.score(name), metric.signature, decimals=metric.decimals)
        scores[name] = with_interval(score, samples_R, ar=num_trials, seed=seed)
    differences = {}
    for name in others:
        value, gaps_R = scores[name].score - scores[baseline].score, samples[name] - samples[baseline]
        pair = statistics.of_system[baseline], statistics.of_system[name]
        chance_R = _swapped_gaps(metric, *pair, num_trials, seed)
        # sacreBLEU counts only what is larger. Of other metrics, such as accuracy, many differences are equal.
        limit = abs(value) - (0.0 if isinstance(metric, SacreBleuMetric) else ROUNDING)
        p_value = (1 + int((chance_R > limit).sum())) / (1 + num_trials)
        # With k sentences that differ there are 2^k ways to swap them, and at least two of these (none, all) give the
        # real difference. sacreBLEU gives its smallest p where few sentences differ, or both systems score 0.
        num_different = int((pair[0] != pair[1]).any(axis=1).sum())
        p_value = max(p_value, min(1.0, 2.0 ** (1 - num_different)) if value else 1.0)
        differences[name] = Difference(value, *interval(gaps_R), p_value, p_value < LEVEL)
    return MetricTest(metric, scores, differences)


def compare_by(metric: str, test_set: TestSet) -> MetricTest:
    """Tests each system of a test set against the first one, by a metric."""
    return paired_test(SufficientStatistics(metric, test_set))


def _swapped_gaps(metric: Metric, one_NF: FloatArray, other_NF: FloatArray, num_trials: int, seed: int) -> FloatArray:
    """Absolute differences, (R,), after each sentence's translations were swapped or not at random."""
    random = np.random.default_rng(seed)
    both_F = one_NF.sum(axis=0) + other_NF.sum(axis=0)
    gaps: list[float] = []
    for start in range(0, num_trials, 32):  # as many at once as draw whole words of random bits, as sacreBLEU does
        kept_RN = random.integers(2, size=(min(32, num_trials - start), len(one_NF)), dtype=bool)
        totals_RF = kept_RN @ one_NF + ~kept_RN @ other_NF
        gaps += [abs(metric.score_from(total_F) - metric.score_from(both_F - total_F)) for total_F in totals_RF]
    return np.array(gaps)
