"""Systems side by side on one test set: scores with tests, lengths, rare words, n-grams, and changed sentences.

Everything is measured on the same detokenised, cased text. Scores, tests and lengths use all references; words and
n-grams use the first one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from nmt.data.dialogue import current_turn
from nmt.data.text import describe, read_lines
from nmt.errors import UserError
from nmt.evaluation.analysis import (
    Bucket,
    NgramChange,
    WordClass,
    length_buckets,
    ngram_changes,
    num_words,
    word_classes,
)
from nmt.evaluation.degenerate import DegenerateCount, count_degenerate
from nmt.evaluation.metrics import METRICS, Bleu, check_lengths, check_metrics
from nmt.evaluation.significance import MetricTest, Statistics, TestMethod, paired_test
from nmt.files import STANDARD_STREAM


@dataclass(frozen=True)
class TestSet:
    """Translations of several systems with references and source, line by line; the first system is the baseline."""

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

    def statistics(self, metric: str, tokenize: str | None = None) -> Statistics:
        return Statistics(metric, self.systems, self.references, tokenize, self.source)


@dataclass(frozen=True)
class Options:
    """Options of a comparison."""

    metrics: Sequence[str] = ("bleu", "chrf", "ter")
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
    """The result of ``nmt compare``."""

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
    def verdicts(self) -> dict[str, list[str]]:
        """Sentences on each system but the baseline, one for each metric."""
        return {name: [test.verdict(name) for test in self.tests.values()] for name in self.changes}


def compare(test_set: TestSet, options: Options | None = None, train: Path | str | None = None) -> Comparison:
    """Compare all systems with the first.

    Args:
        test_set: of two systems or more.
        options: of the computation.
        train: text in the target language in which words are counted; the first reference when None.
    """
    options = options or Options()
    check_metrics([*options.metrics, options.sentence_metric], test_set.source is not None)
    statistics = {key: test_set.statistics(key, options.tokenize) for key in options.metrics}
    tokens_of = Bleu(options.tokenize).tokens
    tokens = {name: list(map(tokens_of, texts)) for name, texts in test_set.systems.items()}
    reference = list(map(tokens_of, test_set.references[0]))
    counted = map(tokens_of, read_lines(train)) if train is not None else reference
    baseline, *others = test_set.systems
    gained_and_lost = {name: ngram_changes(tokens[baseline], tokens[name], reference) for name in others}
    return Comparison(
        test_set,
        options,
        {key: paired_test(found, options.method, options.num_samples) for key, found in statistics.items()},
        length_scores(test_set, list(statistics.values()), options.limits),
        word_classes(tokens, reference, Counter(chain.from_iterable(counted))),
        Path(describe(train)).name if train is not None else "the reference",
        _pair_changes(test_set, options, gained_and_lost),
        {
            name: count_degenerate(texts, test_set.source, test_set.references[0])
            for name, texts in test_set.systems.items()
        },
    )


def length_scores(
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


def _pair_changes(
    test_set: TestSet, options: Options, ngrams: dict[str, tuple[list[NgramChange], list[NgramChange]]]
) -> dict[str, PairChanges]:
    """How many sentences are better, worse and the same than the baseline's, and those that changed most."""
    metric = METRICS[options.sentence_metric](options.tokenize)
    scores = {
        name: metric.sentence_scores(texts, test_set.references, test_set.source)
        for name, texts in test_set.systems.items()
    }
    baseline = test_set.baseline

    def change(name: str, index: int) -> SentenceChange:
        return SentenceChange(
            index + 1,
            test_set.source[index] if test_set.source is not None else None,
            test_set.references[0][index],
            test_set.systems[baseline][index],
            test_set.systems[name][index],
            scores[baseline][index],
            scores[name][index],
        )

    changes = {}
    for name, (gained, lost) in ngrams.items():
        sign = 1 if metric.higher_is_better else -1
        gains = [sign * (new - old) for old, new in zip(scores[baseline], scores[name], strict=True)]
        better = sorted((i for i, gain in enumerate(gains) if gain > 0), key=lambda i: -gains[i])
        worse = sorted((i for i, gain in enumerate(gains) if gain < 0), key=lambda i: gains[i])
        changes[name] = PairChanges(
            len(better),
            len(worse),
            len(gains) - len(better) - len(worse),
            [change(name, index) for index in better[: options.num_sentences]],
            [change(name, index) for index in worse[: options.num_sentences]],
            gained,
            lost,
        )
    return changes


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
        source: the source text, if it is known.

    Raises:
        UserError: too few systems, no reference, or files that don't belong together.
    """
    if len(systems) < least:
        raise UserError("A comparison needs two systems or more.", "Name the translations of each: A.en B.en.")
    if not references:
        raise UserError("No reference is named.", "Give the reference translations: -r FILE.")
    names = labels(systems)
    texts = read_aligned([*systems, *references, *([source] if source is not None else [])])
    after = len(systems) + len(references)
    return TestSet(
        dict(zip(names, texts, strict=False)),
        texts[len(systems) : after],
        texts[after] if source is not None else None,
    )


def read_aligned(paths: Sequence[Path | str]) -> list[list[str]]:
    """The lines of files in which line N always belongs to line N of the others.

    Args:
        paths: translations first; at most one is ``"-"``, standard input.

    Raises:
        UserError: the numbers of lines differ, there are none, or two are to come from standard input.
    """
    if sum(str(path) == STANDARD_STREAM for path in paths) > 1:
        raise UserError("Only one side can come from standard input.", "Name a file for the other.")
    texts = [list(read_lines(path)) for path in paths]
    check_lengths({describe(path): len(text) for path, text in zip(paths, texts, strict=True)})
    return texts


def labels(paths: Sequence[Path | str]) -> list[str]:
    """Short names of systems: file names without the endings and folders that all of them share.

    ``runs/a.test.en`` and ``runs/b.test.en`` become ``a`` and ``b``; ``a/test.en`` and ``b/test.en`` too.

    Raises:
        UserError: a file is named twice.
    """
    given = [describe(path) for path in paths]
    for index, name in enumerate(given):
        if name in given[:index]:
            raise UserError(f"{name} is named twice.", "Name each system once.")
    if len(given) == 1:
        return [Path(given[0]).name]
    folders = _without_shared_end([list(Path(name).parts) for name in given])
    folders = _without_shared_end([parts[::-1] for parts in folders])
    short = [".".join(parts) for parts in _without_shared_end(["/".join(parts[::-1]).split(".") for parts in folders])]
    return short if len(set(short)) == len(short) else given


def _without_shared_end(names: list[list[str]]) -> list[list[str]]:
    """Names in parts, without the last parts as long as all names share them and have others."""
    while all(len(parts) > 1 for parts in names) and len({parts[-1] for parts in names}) == 1:
        names = [parts[:-1] for parts in names]
    return names
