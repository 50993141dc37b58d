"""Whether the difference between two systems is more than chance: paired tests for any metric.

Paired approximate randomisation (Riezler & Maxwell 2005) and paired bootstrap resampling (Koehn 2004). Both resample
the sufficient statistics of :meth:`nmt.evaluation.metrics.Metric.statistics`; for the metrics of sacreBLEU they draw
the same samples as sacreBLEU with the same seed (``SACREBLEU_SEED``, 12345), and so give its p values.

Randomisation is the default because it is the more careful one: the bootstrap, as sacreBLEU defines it, compares
absolute differences with their own mean, and so calls small differences significant about twice as readily.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nmt.evaluation.metrics import (
    METRICS,
    Confidence,
    FloatArray,
    Metric,
    Score,
    bootstrap,
    check_seed,
    interval,
    resampled_signature,
)

TestMethod = Literal["randomisation", "bootstrap"]

NUM_SAMPLES: dict[TestMethod, int] = {"randomisation": 10_000, "bootstrap": 1000}
"""sacreBLEU's defaults: trials of swapping translations, or samples of sentences."""

LEVEL = 0.05
"""Differences with a smaller p are called significant."""


class Statistics:
    """The sufficient statistics of each sentence of each system, computed once for all figures of a metric.

    Args:
        key: of ``METRICS``.
        systems: translations by the name of their system; the first is the baseline.
        references: complete references, each as long as the translations.
        tokenize: sacreBLEU's tokenizer for BLEU.
        sources: for metrics that need them.
    """

    def __init__(
        self,
        key: str,
        systems: Mapping[str, Sequence[str]],
        references: Sequence[Sequence[str]],
        tokenize: str | None = None,
        sources: Sequence[str] | None = None,
    ) -> None:
        self.key, self.metric = key, METRICS[key](tokenize)
        self.of_system = {name: self.metric.statistics(texts, references, sources) for name, texts in systems.items()}
        """Statistics (N, F) by system."""

    @property
    def systems(self) -> list[str]:
        return list(self.of_system)

    def score(self, system: str, sentences: Sequence[int] | None = None) -> float:
        """The score of a system on some sentences, or on all: the corpus score of a file of just those."""
        rows_NF = self.of_system[system]
        return self.metric.score_from((rows_NF if sentences is None else rows_NF[list(sentences)]).sum(axis=0))


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

    @property
    def significant(self) -> bool:
        return self.p_value < LEVEL and self.value != 0


@dataclass(frozen=True)
class MetricTest:
    """All systems under one metric: the score of each, the baseline first, and the differences of the others."""

    metric: Metric
    scores: dict[str, Score]
    differences: dict[str, Difference]

    @property
    def signature(self) -> str:
        return next(iter(self.scores.values())).signature

    def number(self, figure: float) -> str:
        """A score or a difference as text, with a minus sign rather than a hyphen."""
        decimals = self.metric.decimals
        return f"{round(figure, decimals) + 0.0:.{decimals}f}".replace("-", "−")

    def verdict(self, system: str) -> str:
        """A sentence about a system against the baseline."""
        baseline, name, difference = next(iter(self.scores)), self.metric.name, self.differences[system]
        limits = [difference.low, difference.high]
        if difference.value < 0:  # as seen from the one that is ahead
            limits = [-difference.high, -difference.low]
        interval = f"95 % interval {' to '.join(map(self.number, limits))}, p = {difference.p_value:.2g}"
        better = system if (difference.value > 0) == self.metric.higher_is_better else baseline
        size = f"{self.number(abs(difference.value))} {name}"
        if not difference.value:
            return f"{system} and {baseline} have the same {name} ({interval})."
        if difference.significant:
            return f"{better} is better by {size} ({interval})."
        return f"No significant difference: {better} is ahead by {size}, which may be chance ({interval})."


def paired_test(
    statistics: Statistics, method: TestMethod = "randomisation", num_samples: int | None = None
) -> MetricTest:
    """Test each system against the first one.

    Args:
        statistics: of two systems or more.
        method: ``randomisation`` or ``bootstrap``.
        num_samples: samples or trials; sacreBLEU's default when None. Intervals take as many samples in a
            bootstrap, and 1,000 beside a randomisation.
    """
    num_samples = num_samples or NUM_SAMPLES[method]
    num_resamples = num_samples if method == "bootstrap" else NUM_SAMPLES["bootstrap"]
    given = check_seed()
    seed = int(np.random.SeedSequence(given).entropy)  # type: ignore[arg-type]  # one for all systems, even if random
    metric, baseline = statistics.metric, statistics.systems[0]
    baseline_NF = statistics.of_system[baseline]
    baseline_R = bootstrap(metric, baseline_NF, num_resamples, seed)
    kind = {"bs" if method == "bootstrap" else "ar": num_samples}
    signature = resampled_signature(metric.signature, **kind, seed=given)
    scores, differences = {}, {}
    for system, rows_NF in statistics.of_system.items():
        scores_R = baseline_R
        if system != baseline:
            scores_R = bootstrap(metric, rows_NF, num_resamples, seed)
            value = statistics.score(system) - statistics.score(baseline)
            if method == "bootstrap":
                gaps_R = np.abs(scores_R - baseline_R)
                chance_R = gaps_R - gaps_R.mean()
            else:
                chance_R = _swapped_gaps(metric, baseline_NF, rows_NF, num_samples, seed)
            p_value = (1 + int((chance_R > abs(value)).sum())) / (1 + num_samples)
            p_value = max(p_value, _least_p(baseline_NF, rows_NF))
            differences[system] = Difference(value, *interval(scores_R - baseline_R), p_value)
        scores[system] = Score(metric.name, statistics.score(system), signature, confidence=Confidence.of(scores_R))
    return MetricTest(metric, scores, differences)


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


def _least_p(baseline_NF: FloatArray, system_NF: FloatArray) -> float:
    """The smallest p that the sentences allow: with k that differ there are 2^k ways to swap them, and at least two
    of these (none swapped, all swapped) give the real difference.

    sacreBLEU counts only what is larger than the real difference, and so gives its smallest p where few sentences, or
    none, differ.
    """
    num_different = int((baseline_NF != system_NF).any(axis=1).sum())
    return min(1.0, 2.0 ** (1 - num_different))
