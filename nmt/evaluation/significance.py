"""Is the difference between two systems more than chance? Paired tests by sacreBLEU's own implementation.

Paired approximate randomisation (Riezler & Maxwell 2005) and paired bootstrap resampling (Koehn 2004), both with
sacreBLEU's seed (``SACREBLEU_SEED``, 12345) and signature. The interval of the difference, which sacreBLEU
doesn't give, comes from the same samples of sentences as its bootstrap.

Randomisation is the default because it is the more careful one: sacreBLEU's bootstrap compares absolute
differences with their own mean, and so calls small differences significant about twice as readily.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nmt.evaluation.scores import METRICS, check_seed

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

TestMethod = Literal["randomisation", "bootstrap"]

NUM_SAMPLES: dict[TestMethod, int] = {"randomisation": 10_000, "bootstrap": 1000}
"""sacreBLEU's defaults: trials of swapping translations, or samples of sentences."""

LEVEL = 0.05
"""Differences with a smaller p are called significant."""

Rows = list[list[float]]


class Statistics:
    """What a metric counts in each sentence of each system, counted once: whatever is computed comes from here.

    Args:
        key: of ``METRICS``.
        systems: translations by the name of their system.
        references: whole references, each as long as the translations.
        tokenize: sacreBLEU's tokenizer for BLEU.
    """

    def __init__(
        self,
        key: str,
        systems: Mapping[str, Sequence[str]],
        references: Sequence[Sequence[str]],
        tokenize: str | None = None,
    ) -> None:
        self.key, self.systems, self.references = key, systems, references
        self.metric: Metric = METRICS[key](tokenize)
        self.rows: dict[str, Rows] = {
            name: self.metric._extract_corpus_statistics(texts, references) for name, texts in systems.items()
        }

    @property
    def name(self) -> str:
        """As it is printed: ``BLEU``, ``chrF2``, ``TER``."""
        return str(self._result(next(iter(self.rows.values()))).name)

    @property
    def signature(self) -> str:
        return str(self.metric.get_signature())

    @property
    def higher_is_better(self) -> bool:
        return self.key != "ter"

    def score(self, system: str, sentences: Sequence[int] | None = None) -> float:
        """The score of a system on some sentences, or on all: what sacreBLEU gives for a file of just those."""
        rows = self.rows[system]
        return float(self._result(rows if sentences is None else [rows[i] for i in sentences]).score)

    def sentence_scores(self, system: str) -> list[float]:
        """The score of each sentence by itself."""
        metric = self.metric
        if self.key == "bleu":  # of the sentence, as sacreBLEU advises: a short one has no 4-grams to get right
            from sacrebleu.metrics.bleu import BLEU

            metric = BLEU(effective_order=True)
        return [float(metric._aggregate_and_compute([row]).score) for row in self.rows[system]]

    def _result(self, rows: Rows) -> Any:
        return self.metric._aggregate_and_compute(rows)


@dataclass(frozen=True)
class Difference:
    """A system against the baseline: score minus score, whatever is better.

    ``low`` and ``high`` hold 95 % of the differences in bootstrap samples. ``p_value``: how often chance alone
    gives a difference of this size.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def is_significant(self) -> bool:
        return self.p_value < LEVEL and self.value != 0


@dataclass(frozen=True)
class SystemScore:
    """A system under one metric; 95 % of bootstrap samples score ``mean`` ± ``half_width``."""

    score: float
    mean: float
    half_width: float
    difference: Difference | None
    """From the baseline; None for the baseline itself."""


@dataclass(frozen=True)
class MetricTest:
    """All systems under one metric, the baseline first."""

    key: str
    name: str
    higher_is_better: bool
    signature: str
    systems: dict[str, SystemScore]

    def verdict(self, system: str) -> str:
        """What can be said of a system against the baseline, as a sentence."""
        baseline = next(iter(self.systems))
        difference = self.systems[system].difference
        assert difference is not None
        # as seen from the one that is ahead
        low, high = difference.low, difference.high
        if difference.value < 0:
            low, high = -high, -low
        interval = f"95 % interval {signed(low)} to {signed(high)}, p = {difference.p_value:.2g}"
        better = system if (difference.value > 0) == self.higher_is_better else baseline
        size = f"{abs(difference.value):.2f} {self.name}"
        if not difference.value:
            return f"{system} and {baseline} have the same {self.name} ({interval})."
        if difference.is_significant:
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
    from sacrebleu.significance import PairedTest

    num_samples = num_samples or NUM_SAMPLES[method]
    num_resamples = num_samples if method == "bootstrap" else NUM_SAMPLES["bootstrap"]
    seed = check_seed()
    metric: Any = statistics.metric
    systems = statistics.systems
    rows_of = {id(texts): statistics.rows[name] for name, texts in systems.items()}
    metric._extract_corpus_statistics = lambda texts, references: rows_of[id(texts)]  # as counted already
    try:
        signatures, results = PairedTest(
            list(systems.items()),
            {statistics.key: metric},
            statistics.references,
            test_type="bs" if method == "bootstrap" else "ar",
            n_samples=num_samples,
            n_ar_confidence=-1 if method == "bootstrap" else num_resamples,
        )()
    finally:
        del metric._extract_corpus_statistics
    ((name, signature),) = signatures.items()
    outcomes: list[Any] = results[name]
    samples = resampled_scores(statistics, num_resamples, seed)
    baseline, *_ = systems
    found = {}
    for system, result in zip(systems, outcomes, strict=True):
        difference = None
        if system != baseline:
            low, high = interval(samples[system] - samples[baseline])
            p_value = max(float(result.p_value), _least_p(statistics.rows[baseline], statistics.rows[system]))
            difference = Difference(result.score - outcomes[0].score, low, high, p_value)
        found[system] = SystemScore(float(result.score), float(result.mean), float(result.ci), difference)
    return MetricTest(statistics.key, name, statistics.higher_is_better, str(signature), found)


def _least_p(baseline: Rows, system: Rows) -> float:
    """The smallest p that the sentences allow: with k that differ there are 2^k ways to swap them, and at least two
    of these (none swapped, all swapped) give the real difference.

    sacreBLEU counts only what is larger than the real difference, and so calls the smallest p what few sentences, or
    none, can't show.
    """
    num_different = sum(old != new for old, new in zip(baseline, system, strict=True))
    return min(1.0, 2.0 ** (1 - num_different))


def resampled_scores(statistics: Statistics, num_samples: int, seed: int | None) -> dict[str, npt.NDArray[np.float64]]:
    """The scores of each system in samples of sentences, the same for all and the same as sacreBLEU's."""
    metric: Any = statistics.metric
    num_sentences = len(next(iter(statistics.rows.values())))
    chosen = np.random.default_rng(seed or None).choice(num_sentences, size=(num_samples, num_sentences), replace=True)
    times = np.stack([np.bincount(sample, minlength=num_sentences) for sample in chosen]).astype(np.float64)
    return {
        name: np.array([metric._compute_score_from_stats(total).score for total in times @ np.array(rows, np.float64)])
        for name, rows in statistics.rows.items()
    }


def interval(samples: npt.NDArray[np.float64]) -> tuple[float, float]:
    """What 95 % of the samples lie between, cut as sacreBLEU cuts: a fortieth on each side."""
    ordered = np.sort(samples)
    cut = len(ordered) // 40
    return float(ordered[cut]), float(ordered[-1 - cut])


def signed(figure: float) -> str:
    """With a minus sign rather than a hyphen."""
    return f"{round(figure, 2) + 0.0:.2f}".replace("-", "−")
