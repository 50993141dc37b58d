"""Systems side by side on one test set: scores with tests, lengths, rare words, n-grams, and the telling sentences.

Everything is measured on the same detokenised, cased text. Scores, tests and lengths take all references; words
and n-grams take the first one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.data.dialogue import current_turn
from nmt.data.text import describe, read_lines
from nmt.errors import UserError
from nmt.evaluation.buckets import Bucket, length_buckets, num_words
from nmt.evaluation.degenerate import DegenerateCount, count_degenerate
from nmt.evaluation.lexical import NgramChange, Tokens, WordClass, frequencies, ngram_changes, word_classes
from nmt.evaluation.metrics import METRICS, Bleu, check_metrics
from nmt.evaluation.significance import MetricTest, Statistics, TestMethod, paired_test
from nmt.evaluation.texts import labels, read_aligned


@dataclass(frozen=True)
class TestSet:
    """Translations of several systems with what belongs to them, line by line; the first system is the baseline."""

    systems: dict[str, list[str]]
    references: list[list[str]]
    source: list[str] | None = None

    __test__ = False  # pytest takes the name for one of its own

    def __len__(self) -> int:
        return len(self.references[0])

    @property
    def baseline(self) -> str:
        return next(iter(self.systems))

    @property
    def lengths(self) -> list[int]:
        """Words of each source sentence (of a dialogue's current turn); of the first reference without a source."""
        return [num_words(current_turn(line)) for line in (self.source or self.references[0])]

    @property
    def measured_by(self) -> str:
        return "source" if self.source is not None else "reference"


@dataclass(frozen=True)
class Options:
    """What is computed, and how."""

    metrics: Sequence[str] = tuple(METRICS)
    method: TestMethod = "randomisation"
    num_samples: int | None = None
    """Trials or samples; None for sacreBLEU's default."""
    sentence_metric: str = "chrf"
    """Ranks the sentences that got better and worse."""
    num_sentences: int = 10
    """Shown of each."""
    tokenize: str | None = None
    limits: Sequence[int] | None = None
    """Of the length buckets; chosen from the text when None."""


@dataclass(frozen=True)
class LengthScores:
    """The scores of a length bucket: by metric, then by system."""

    bucket: Bucket
    scores: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """As in ``nmt compare --json`` and ``nmt inspect lengths --json``."""
        scores = {key: {name: round(s, 4) for name, s in found.items()} for key, found in self.scores.items()}
        bucket = {"low": self.bucket.low, "high": self.bucket.high, "sentences": len(self.bucket.sentences)}
        return {**bucket, "scores": scores}


@dataclass(frozen=True)
class SentenceChange:
    """A sentence that two systems translate differently well. ``line`` counts from 1."""

    line: int
    source: str | None
    reference: str
    baseline: str
    system: str
    baseline_score: float
    system_score: float


@dataclass(frozen=True)
class PairChanges:
    """A system against the baseline, looked at closely."""

    num_better: int
    num_worse: int
    num_same: int
    better: list[SentenceChange]
    worse: list[SentenceChange]
    gained: list[NgramChange]
    lost: list[NgramChange]


@dataclass(frozen=True)
class Comparison:
    """All that ``nmt compare`` finds out."""

    test_set: TestSet
    options: Options
    tests: dict[str, MetricTest]
    lengths: list[LengthScores]
    words: list[WordClass]
    counted_in: str
    """Where words were counted: the training text's name, or that it was the reference."""
    changes: dict[str, PairChanges]
    degenerate: dict[str, DegenerateCount]

    @property
    def baseline(self) -> str:
        return self.test_set.baseline

    @property
    def verdicts(self) -> dict[str, list[str]]:
        """Sentences on each system but the baseline, one for each metric."""
        return {name: [test.verdict(name) for test in self.tests.values()] for name in self.changes}


def read_test_set(
    systems: Sequence[Path | str],
    references: Sequence[Path | str],
    source: Path | str | None = None,
    least: int = 2,
) -> TestSet:
    """Read the files of a test set.

    Args:
        systems: translations, at least ``least`` of them.
        references: one or more.
        source: what was translated, where it is known.

    Raises:
        UserError: too few systems, no reference, or files that don't belong together.
    """
    if len(systems) < least:
        raise UserError("A comparison needs two systems or more.", "Name the translations of each: A.en B.en.")
    if not references:
        raise UserError("No reference is named.", "Give -r FILE, with what the translations should be.")
    names = labels(systems)
    texts = read_aligned([*systems, *references, *([source] if source is not None else [])])
    after = len(systems) + len(references)
    return TestSet(
        dict(zip(names, texts, strict=False)),
        texts[len(systems) : after],
        texts[after] if source is not None else None,
    )


def compare(test_set: TestSet, options: Options | None = None, train: Path | str | None = None) -> Comparison:
    """Compare all systems with the first.

    Args:
        test_set: of two systems or more.
        options: what is computed.
        train: text in the target language in which words are counted; the first reference when None.
    """
    options = options or Options()
    check_metrics([*options.metrics, options.sentence_metric], test_set.source is not None)
    statistics = {key: _count(test_set, key, options.tokenize) for key in options.metrics}
    tests = {key: paired_test(statistics[key], options.method, options.num_samples) for key in options.metrics}
    tokens = {name: _tokens(texts, options.tokenize) for name, texts in test_set.systems.items()}
    reference = _tokens(test_set.references[0], options.tokenize)
    counts = frequencies(_streamed(read_lines(train), options.tokenize) if train is not None else reference)
    ranking = METRICS[options.sentence_metric](options.tokenize)
    by_sentence = {
        name: ranking.sentence_scores(texts, test_set.references, test_set.source)
        for name, texts in test_set.systems.items()
    }
    sign = 1 if ranking.higher_is_better else -1
    changes = {}
    for name in list(test_set.systems)[1:]:
        gained, lost = ngram_changes(tokens[test_set.baseline], tokens[name], reference)
        changes[name] = PairChanges(
            *_sentence_changes(test_set, name, by_sentence, sign, options.num_sentences), gained, lost
        )
    return Comparison(
        test_set,
        options,
        tests,
        scores_by_length(test_set, [statistics[key] for key in options.metrics], options.limits),
        word_classes(tokens, reference, counts),
        Path(describe(train)).name if train is not None else "the reference",
        changes,
        {
            name: count_degenerate(texts, test_set.source, test_set.references[0])
            for name, texts in test_set.systems.items()
        },
    )


def scores_by_length(
    test_set: TestSet, statistics: Sequence[Statistics], limits: Sequence[int] | None = None
) -> list[LengthScores]:
    """Corpus scores of the sentences in each length bucket."""
    return [
        LengthScores(
            bucket,
            {s.key: {name: s.score(name, bucket.sentences) for name in test_set.systems} for s in statistics},
        )
        for bucket in length_buckets(test_set.lengths, limits)
    ]


def length_scores(
    test_set: TestSet, metric: str = "bleu", limits: Sequence[int] | None = None, tokenize: str | None = None
) -> tuple[list[LengthScores], Statistics]:
    """One metric by length, for any number of systems."""
    check_metrics([metric], test_set.source is not None)
    statistics = _count(test_set, metric, tokenize)
    return scores_by_length(test_set, [statistics], limits), statistics


def _count(test_set: TestSet, key: str, tokenize: str | None) -> Statistics:
    return Statistics(key, test_set.systems, test_set.references, tokenize, test_set.source)


def _tokens(texts: Sequence[str], tokenize: str | None) -> list[Tokens]:
    return list(_streamed(texts, tokenize))


def _streamed(texts: Iterable[str], tokenize: str | None) -> Iterable[Tokens]:
    """Words as BLEU counts them."""
    return map(Bleu(tokenize).tokens, texts)


def _sentence_changes(
    test_set: TestSet, name: str, by_sentence: dict[str, list[float]], sign: int, most: int
) -> tuple[int, int, int, list[SentenceChange], list[SentenceChange]]:
    """How many sentences are better, worse and the same, and those that changed most."""
    old, new = by_sentence[test_set.baseline], by_sentence[name]
    gains = [sign * (n - o) for o, n in zip(old, new, strict=True)]
    best = sorted(range(len(gains)), key=lambda index: (-gains[index], index))
    worst = sorted(range(len(gains)), key=lambda index: (gains[index], index))

    def change(index: int) -> SentenceChange:
        return SentenceChange(
            index + 1,
            test_set.source[index] if test_set.source is not None else None,
            test_set.references[0][index],
            test_set.systems[test_set.baseline][index],
            test_set.systems[name][index],
            old[index],
            new[index],
        )

    num_better, num_worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return (
        num_better,
        num_worse,
        len(gains) - num_better - num_worse,
        [change(index) for index in best[: min(most, num_better)]],
        [change(index) for index in worst[: min(most, num_worse)]],
    )
