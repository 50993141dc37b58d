"""The check of a corpus by all filters; read :func:`check_pairs` first."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from unicodedata import category

import numpy as np

from nmt.core.errors import UserError
from nmt.core.files import explained, replacing
from nmt.data.opening import open_text
from nmt.data.sources import FileText
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.cleaning.base import NUM_EXAMPLES, Features, Filter, FlaggedPairs, Severity, plural
from nmt.extensions.cleaning.statistics import CorpusStatistics, Lines, PairSource, Progress, Side, file_pairs
from nmt.extensions.cleaning.table import FILTERS
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import DataOptions, FilePair, Recipe


@dataclass(frozen=True)
class Example:
    """A line that shows a problem: its number from 1, and its shortened text."""

    line: int
    text: str


@dataclass(frozen=True)
class Finding:
    """A problem of a corpus, found by the filter named ``check``.

    ``serious`` problems spoil training or its scores; a ``warning`` is about quality. ``count`` is the number of lines,
    pairs or pieces, and ``share`` their fraction of all. The examples are the first, or the worst.
    """

    check: str
    severity: Severity
    message: str
    remedy: str
    count: int
    share: float
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class SideCounts:
    """Counts of one side of a corpus; words are separated by white space."""

    name: str
    num_words: int
    mean_words: float
    median_words: int
    max_words: int
    num_characters: int


@dataclass(frozen=True)
class DataReport:
    """The result of a check; ``median_ratio`` is that of target characters per source character."""

    num_pairs: int
    sides: list[SideCounts]
    median_ratio: float
    findings: list[Finding]

    @property
    def is_sound(self) -> bool:
        return all(finding.severity != "serious" for finding in self.findings)


SCORES = "character models"
"""Stands among the names of filters for the scores by the character models of the statistics."""


def check_pairs(
    corpus: PairSource,
    test: PairSource | None = None,
    vocabularies: Vocabularies | None = None,
    max_length: int = 150,
    on_progress: Progress = lambda num_lines: None,
) -> DataReport:
    """Report the problems of a parallel corpus, which is read twice and never held in memory.

    Args:
        test: text that must not occur in it.
        vocabularies: those of the model that is to be trained.
        max_length: training drops pairs with more pieces than this on a side.
        on_progress: called with the number of lines read since the last call, in both passes.

    Raises:
        UserError: a file can't be read or is empty.
    """
    test_statistics = CorpusStatistics(test) if test is not None else None
    statistics = CorpusStatistics(corpus, test_statistics, vocabularies, max_length, on_progress)
    if not statistics.num_pairs:
        raise UserError(f"{' or '.join(corpus.names)} is empty: there are no pairs to check.", "Check the files.")
    filters = make_filters({name: {} for name, each in FILTERS.items() if each.checks})
    found = flag(statistics, filters, on_progress)  # of pairs like the test, nmt clean removes more than are counted
    flagged = [(name, each) for name, each in found if each.count or (len(each.indices) and not each.total)]
    texts = corpus.texts({int(index) for _, found in flagged for index in found.indices[:NUM_EXAMPLES]})
    findings = [_finding(name, filters[name], found, statistics, texts) for name, found in flagged]
    findings.sort(key=lambda finding: get_args(Severity).index(finding.severity))
    ratios = statistics.log_ratios[statistics.has_text]
    median_ratio = float(np.exp(np.median(ratios))) if len(ratios) else 0.0
    return DataReport(statistics.num_pairs, list(map(_counts, statistics.sides)), median_ratio, findings)


def make_filters(choices: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Filter]:
    """Filters by name, in the order of the table, from names to options; one whose options are None is left out.

    Raises:
        UserError: an unknown filter, or an option that is wrong.
    """
    chosen = FILTERS.choose_many(choices, "filters")
    return {name: chosen[name][0](chosen[name][1]) for name in FILTERS if name in chosen}


def flag(
    statistics: CorpusStatistics,
    filters: Mapping[str, Filter],
    on_progress: Progress = lambda num_lines: None,
    folder: Path | None = None,
) -> list[tuple[str, FlaggedPairs]]:
    """Reads the corpus once more, and returns the findings of each filter, by its name.

    The results of each batch are kept in ``folder``, if there is one; a batch that is there isn't judged again.
    """
    for each in filters.values():
        each.prepare(statistics)
    features = defaultdict[str, list[Features]](list)
    for start, lines in statistics.pairs.batches(on_progress):
        for name, found in _judged(statistics, filters, start, lines, folder).items():
            features[name].append(found)
    for name, rows in features.items():
        judged = np.concatenate(rows, axis=1)
        if name == SCORES:
            statistics.put_scores(judged)
        else:
            filters[name].features = judged
    return [(name, found) for name, each in filters.items() for found in each.flag(statistics)]


def _judged(
    statistics: CorpusStatistics, filters: Mapping[str, Filter], start: int, lines: Lines, folder: Path | None
) -> dict[str, Features]:
    """Returns the features of each filter, and the scores of the character models, for a batch of lines."""
    path = None if folder is None else folder / f"{start}.npz"
    if path is not None and path.is_file():
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    read = {name: each.read(start, lines) for name, each in filters.items()}
    judged: dict[str, Any] = {name: features for name, features in read.items() if features is not None}
    judged[SCORES] = statistics.scores(lines)
    if path is not None:
        with replacing(path) as temporary, explained(path), temporary.open("wb") as file:
            np.savez(file, **judged)
    return judged


def _finding(
    name: str, each: Filter, flagged: FlaggedPairs, statistics: CorpusStatistics, texts: Mapping[int, tuple[str, str]]
) -> Finding:
    """Describes the findings of a filter; ``texts`` has the pairs of the examples."""
    side = None if flagged.side is None else statistics.sides[flagged.side]
    count = flagged.count or len(flagged.indices)
    share = count / (flagged.total or (statistics.num_pairs if side is None else side.num_lines))
    numbered = plural(count, "pair") if side is None else f"{side.name}: {plural(count, 'line')}"
    verb, rest = each.problem.split(" ", 1)
    per_cent = f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"
    if 0 < share < 0.0001:
        per_cent = "under 0.01"
    message = f"{flagged.subject or numbered} ({per_cent} %) {verb}{'s' if count == 1 else ''} {rest}."
    severity: Severity = "serious" if share >= each.serious else "warning" if share >= each.warning else "note"
    shown = flagged.examples
    if shown is None:
        shown = {i: texts[i] for i in flagged.indices[:NUM_EXAMPLES].tolist()}
    examples = tuple(Example(i + 1, _shown(pair, flagged.side)) for i, pair in shown.items())
    return Finding(name, flagged.severity or severity, message, each.remedy, count, share, examples)


def _shown(pair: tuple[str, str], side: int | None) -> str:
    return " | ".join(shorten(line, 60) for line in pair) if side is None else shorten(pair[side])


def shorten(text: str, max_length: int = 100) -> str:
    """Format text in one line, with invisible characters and invalid bytes as escape sequences."""
    text = text[: max_length + 1].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() or category(c) == "Zs" else c.encode("unicode_escape").decode() for c in text)
    return f"{shown[:max_length]}…" if len(shown) > max_length else shown


def _counts(side: Side) -> SideCounts:
    words, num_characters = side.lines["words"], int(side.lines["characters"].sum())
    median = int(np.median(words))
    return SideCounts(side.name, int(words.sum()), float(words.mean()), median, int(words.max()), num_characters)


def recipe_pairs(recipe: Recipe) -> tuple[PairSource, PairSource | None]:
    """The training text of a recipe and, as the text that must not occur in it, the validation text."""
    data = recipe.data
    if data.corpora:
        raise UserError("The recipe has several corpora, which are checked one by one.", "Name the files of one.")
    return _text_pairs(data, data.train), _text_pairs(data, data.valid) if data.valid is not None else None


def _text_pairs(options: DataOptions, split: str | FilePair) -> PairSource:
    text = open_text(options, split)
    if isinstance(text, FileText):
        return file_pairs(*text.files)
    # Earlier turns of dialogues are not checked: they are the current turns of other lines.
    names = f"source ({options.source})", f"target ({options.target})"
    return PairSource(names, lambda: ((text.reader.current(source), target) for source, target in text))


def read_vocabularies(path: Path) -> tuple[Vocabularies, int | None]:
    """The vocabularies of a model directory and its ``data.max_length``, or those of a file and None."""
    recipe = path / "recipe.yaml"
    return Vocabularies.load(path), load_recipe(recipe).data.max_length if recipe.is_file() else None
