"""Systems side by side on one test set: scores with tests, lengths, rare words, n-grams, and changed sentences.

Everything is measured on the same detokenised, cased text. Scores, tests and lengths use all references; words and
n-grams use the first one.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from nmt.data.dialogue import current_turn
from nmt.data.text import describe, read_lines
from nmt.errors import UserError
from nmt.evaluation.analysis import Tokens, ngram_changes, num_words, ranges, word_classes
from nmt.evaluation.degenerate import count_degenerate
from nmt.evaluation.metrics import METRICS, Bleu, check_lengths, check_metrics
from nmt.evaluation.significance import Statistics, TestMethod, TestSet, paired_test
from nmt.files import STANDARD_STREAM

LENGTHS = (5, 10, 15, 20, 30, 40, 60)
"""The longest sentences of each bucket but the last, in words."""


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
    limits: Sequence[int] = LENGTHS
    """Of the length buckets."""


def compare(test_set: TestSet, options: Options | None = None, train: Path | str | None = None) -> dict[str, Any]:
    """Compare all systems with the first.

    Args:
        test_set: of two systems or more.
        options: of the computation.
        train: text in the target language in which words are counted; the first reference when None.

    Returns:
        The object of ``nmt compare --json``.
    """
    options, reference = options or Options(), test_set.references[0]
    baseline, *others = test_set.systems
    if not others:
        raise UserError("A comparison needs two systems or more.", "Name the translations of each: A.en B.en.")
    check_metrics([*options.metrics, options.sentence_metric], test_set.source is not None)
    statistics = [Statistics(key, test_set, options.tokenize) for key in options.metrics]
    tests = {s.key: paired_test(s, options.method, options.num_samples) for s in statistics}
    systems, warnings = {}, []
    for name, texts in test_set.systems.items():
        scores = {}
        for key, test in tests.items():
            difference = asdict(test.differences[name]) if name != baseline else None
            scores[key] = test.scores[name].to_json() | {"difference": difference}
        degenerate = count_degenerate(texts, test_set.source, reference)
        systems[name] = {"scores": scores, "degenerate": degenerate.to_json()}
        if summary := degenerate.summary():
            warnings.append(f"{name}: {summary}.")
    tokens_of = Bleu(options.tokenize).tokens
    tokens = {name: list(map(tokens_of, texts)) for name, texts in test_set.systems.items()}
    tokens_of_reference = list(map(tokens_of, reference))
    counted = map(tokens_of, read_lines(train)) if train is not None else tokens_of_reference
    found = {
        "baseline": baseline,
        "sentences": len(reference),
        "references": len(test_set.references),
        "measured_by": test_set.measured_by,
        "test": options.method,
        "signatures": {key: test.scores[baseline].signature for key, test in tests.items()},
        "systems": systems,
        "warnings": warnings,
        "verdicts": {name: [test.verdict(name) for test in tests.values()] for name in others},
        "lengths": length_scores(test_set, statistics, options.limits),
        "words": {
            "counted_in": Path(describe(train)).name if train is not None else "the reference",
            "classes": word_classes(tokens, tokens_of_reference, Counter(chain.from_iterable(counted))),
        },
        "changes": _changes(test_set, options, tokens, tokens_of_reference),
    }
    rounded: dict[str, Any] = json.loads(json.dumps(found), parse_float=lambda digits: round(float(digits), 6))
    return rounded


def length_scores(
    test_set: TestSet, statistics: Sequence[Statistics], limits: Sequence[int] = LENGTHS
) -> list[dict[str, Any]]:
    """Corpus scores by words of the source (of a dialogue's current turn) or, without one, of the first reference.

    ``limits`` are the longest lengths of all buckets but the last; empty buckets are left out. The result has the rows
    of ``nmt compare --json``, ``scores`` by metric, then by system.
    """
    inside: list[list[int]] = [[] for _ in range(len(limits) + 1)]
    for index, line in enumerate(test_set.source or test_set.references[0]):
        inside[bisect_left(limits, num_words(current_turn(line)))].append(index)
    rows = []
    for bucket, indices in zip(ranges(limits), inside, strict=True):
        if indices:
            scores = {s.key: {name: round(s.score(name, indices), 4) for name in test_set.systems} for s in statistics}
            rows.append(bucket | {"sentences": len(indices), "scores": scores})
    return rows


def _changes(
    test_set: TestSet, options: Options, tokens: Mapping[str, Sequence[Tokens]], reference: Sequence[Tokens]
) -> dict[str, Any]:
    """How many sentences are better, worse and the same than the baseline's, and what changed most."""
    metric, (baseline, *others) = METRICS[options.sentence_metric](options.tokenize), test_set.systems
    systems, references, source = test_set.systems, test_set.references, test_set.source
    scores = {name: metric.sentence_scores(texts, references, source) for name, texts in systems.items()}
    changes = {}
    for name in others:

        def shown(index: int, name: str = name) -> dict[str, Any]:
            return {
                "line": index + 1,
                "source": source[index] if source is not None else None,
                "reference": references[0][index],
                "baseline": systems[baseline][index],
                "system": systems[name][index],
                "baseline_score": scores[baseline][index],
                "system_score": scores[name][index],
            }

        sign = 1 if metric.higher_is_better else -1
        gains = [sign * (new - old) for old, new in zip(scores[baseline], scores[name], strict=True)]
        better = sorted((i for i, gain in enumerate(gains) if gain > 0), key=lambda i: -gains[i])
        worse = sorted((i for i, gain in enumerate(gains) if gain < 0), key=lambda i: gains[i])
        changes[name] = {
            "metric": metric.name,
            "num_better": len(better),
            "num_worse": len(worse),
            "num_same": gains.count(0),
            "better": list(map(shown, better[: options.num_sentences])),
            "worse": list(map(shown, worse[: options.num_sentences])),
            **ngram_changes(tokens[baseline], tokens[name], reference),
        }
    return changes


def read_test_set(
    systems: Sequence[Path | str], references: Sequence[Path | str], source: Path | str | None = None
) -> TestSet:
    """Read the files of a test set.

    Args:
        systems: translations; a system has the name of its file or, where two have the same, its path.
        references: one or more.
        source: the source text, if it is known.

    Raises:
        UserError: no reference, a system that is named twice, or files that don't belong together.
    """
    if not references:
        raise UserError("No reference is named.", "Give the reference translations: -r FILE.")
    paths = [describe(path) for path in systems]
    names = [Path(path).name for path in paths]
    if len(set(names)) < len(names):
        names = paths
    if len(set(names)) < len(names):
        raise UserError(f"{Counter(names).most_common(1)[0][0]} is named twice.", "Name each system once.")
    texts = iter(read_aligned([*systems, *references, *([source] if source is not None else [])]))
    return TestSet({name: next(texts) for name in names}, [next(texts) for _ in references], next(texts, None))


def read_aligned(paths: Sequence[Path | str]) -> list[list[str]]:
    """The lines of files in which line N always belongs to line N of the others; translations first.

    Raises:
        UserError: the numbers of lines differ, there are none, or two are to come from standard input.
    """
    if sum(str(path) == STANDARD_STREAM for path in paths) > 1:
        raise UserError("Only one side can come from standard input.", "Name a file for the other.")
    texts = [list(read_lines(path)) for path in paths]
    check_lengths({describe(path): len(text) for path, text in zip(paths, texts, strict=True)})
    return texts
