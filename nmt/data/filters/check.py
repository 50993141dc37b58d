"""The check of a corpus by all filters; read :func:`check_pairs` first."""

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmt.config import Recipe
from nmt.data.corpus import FileText, ParallelText, open_text
from nmt.data.dialogue import current_turn
from nmt.data.filters.filter import NUM_EXAMPLES, Filter, Finding, Flagged, Severity
from nmt.data.filters.statistics import PairSource, Progress, Side, Statistics, file_pairs
from nmt.data.filters.table import FILTERS
from nmt.data.vocabulary import Vocabularies
from nmt.errors import UserError

SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")


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
    sides: tuple[SideCounts, SideCounts]
    median_ratio: float
    findings: list[Finding]

    @property
    def is_sound(self) -> bool:
        return all(finding.severity != "serious" for finding in self.findings)


def check_pairs(
    corpus: PairSource,
    test: PairSource | None = None,
    vocabularies: Vocabularies | None = None,
    max_length: int = 150,
    on_progress: Progress = lambda num_lines: None,
) -> DataReport:
    """Report the problems of a parallel corpus, which is read twice and never held in memory.

    Args:
        corpus: the pairs.
        test: text that must not occur in it.
        vocabularies: those of the model that is to be trained.
        max_length: training drops pairs with more pieces than this on a side.
        on_progress: called with the number of lines read since the last call, in both passes.

    Raises:
        UserError: a file can't be read or is empty.
    """
    test_statistics = Statistics(test) if test is not None else None
    statistics = Statistics(corpus, test_statistics, vocabularies, max_length, on_progress)
    if not statistics.num_pairs:
        raise UserError(f"{' or '.join(corpus.names)} is empty: there are no pairs to check.", "Check the files.")
    flagged = flag(statistics, on_progress)
    texts = corpus.texts({int(index) for _, found in flagged for index in found.indices[:NUM_EXAMPLES]})
    findings = [each.finding(found, statistics, texts) for each, found in flagged]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    ratios = statistics.log_ratios[statistics.has_text]
    median_ratio = float(np.exp(np.median(ratios))) if len(ratios) else 0.0
    source, target = statistics.sides
    return DataReport(statistics.num_pairs, (_counts(source), _counts(target)), median_ratio, findings)


def flag(statistics: Statistics, on_progress: Progress) -> list[tuple[Filter, Flagged]]:
    """Read the corpus once more, and return what each filter flags."""
    matched: dict[tuple[str, int | None], array[int]] = defaultdict(lambda: array("q"))
    for batch in statistics.second_pass(on_progress):
        for each in FILTERS:
            for side, indices in each.matches(batch):
                matched[each.name, side].extend(indices)
    flagged = []
    for each in FILTERS:
        flagged += [(each, Flagged(np.array(found), key[1])) for key, found in matched.items() if key[0] == each.name]
        flagged += [(each, found) for found in (each.corpus(statistics) if each.corpus is not None else ())]
    return [(each, found) for each, found in flagged if found.count or len(found.indices)]


def _counts(side: Side) -> SideCounts:
    words, num_characters = side.lines["words"], int(side.lines["characters"].sum())
    median = int(np.median(words))
    return SideCounts(side.name, int(words.sum()), float(words.mean()), median, int(words.max()), num_characters)


def recipe_pairs(recipe: Recipe) -> tuple[PairSource, PairSource | None]:
    """The training text of a recipe and, as the text that must not occur in it, the validation text."""
    data = recipe.data
    languages = (data.source, data.target)
    train = _text_pairs(open_text(data, data.train), languages)
    return train, _text_pairs(open_text(data, data.valid), languages) if data.valid is not None else None


def _text_pairs(corpus: ParallelText, languages: tuple[str, str]) -> PairSource:
    if isinstance(corpus, FileText):
        return file_pairs(*corpus.files)

    def read() -> Iterator[tuple[str, str]]:
        # Only the current turns of dialogues are checked: earlier turns are current ones of other lines.
        for source, target in corpus:
            yield (source if corpus.context is None else current_turn(source)), target

    return PairSource((f"source ({languages[0]})", f"target ({languages[1]})"), read)


def read_vocabularies(path: Path) -> tuple[Vocabularies, int | None]:
    """The vocabularies of a model directory and its ``data.max_length``, or those of a file and None."""
    from nmt.recipe import load_recipe

    recipe = path / "recipe.yaml"
    return Vocabularies.load(path), load_recipe(recipe).data.max_length if recipe.is_file() else None
