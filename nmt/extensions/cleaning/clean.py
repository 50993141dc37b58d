"""Cleaning of parallel text: repairs, removal of flagged pairs, and a report; read :func:`clean` first."""

import hashlib
import html
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from ftfy import fix_encoding
from pydantic import Field

from nmt.core.console import say, warn
from nmt.core.errors import UserError
from nmt.core.files import check_target, explained, remove_folder, rename, replacing, sha256
from nmt.core.output import text_file
from nmt.core.text import read_lines
from nmt.core.version import __version__
from nmt.data.sources import check_repeatable
from nmt.extensions.cleaning.base import NUM_EXAMPLES, Filter, FlaggedPairs, plural
from nmt.extensions.cleaning.check import flag, make_filters, shorten
from nmt.extensions.cleaning.statistics import NO_HASHES, CorpusStatistics, PairHashes, PairSource, Progress, file_pairs
from nmt.extensions.cleaning.table import FILTERS
from nmt.extensions.cleaning.text import CONTROL, ENTITY, INVISIBLE, MOJIBAKE
from nmt.extensions.shards.shards import Journal
from nmt.plotting.templates import render
from nmt.recipe.load import read_yaml
from nmt.recipe.options import Options, validate

Repair = Literal["mojibake", "entities", "control", "normal-form"]
Pair = tuple[str, str]

REMOVED, REPAIRED, SETTINGS, REPORT = "removed.jsonl", "repaired.jsonl", "filters.yaml", "report.html"
RESULT = "result"
"""In the folder of an unfinished run: the part that is renamed in the end."""
NUM_BINS = 40
ALWAYS = "invalid-utf8"
"""Such lines can't be written."""


def unescape(line: str) -> str:
    """The characters in place of their HTML entities; line breaks and no-break spaces become spaces."""
    return ENTITY.sub(lambda entity: html.unescape(entity[0]).replace("\n", " ").replace("\xa0", " "), line)


REPAIRS: dict[Repair, Callable[[str], str]] = {
    "mojibake": lambda line: fix_encoding(line) if MOJIBAKE.search(line) else line,
    "entities": unescape,
    "control": lambda line: INVISIBLE.sub("", CONTROL.sub(" ", line)),
    "normal-form": lambda line: unicodedata.normalize("NFC", line),
}
"""In the order in which they are made."""


class CleanSettings(Options):
    """Settings of ``nmt clean``: the keys of its YAML file."""

    repair: list[Repair] = Field(list(REPAIRS), description="repairs of lines before they are judged")
    filters: dict[str, dict[str, Any] | None] = Field(
        {}, description="options of filters, by name; null leaves out one of those that are used by default"
    )

    @classmethod
    def read(cls, path: Path | None) -> "CleanSettings":
        """The settings of a YAML file, with the default filters that it doesn't mention.

        Raises:
            UserError: the file can't be read, or a key or value is wrong.
        """
        example = f"See {SETTINGS} in a folder that nmt clean has written."
        given = validate(cls, read_yaml(path, "file of filters", example) if path else {}, str(path))
        defaults: dict[str, Any] = {name: {} for name, each in FILTERS.items() if each.removes}
        return cls(repair=given.repair, filters={**defaults, **given.filters, ALWAYS: {}})

    def repaired(self, line: str) -> str:
        if line.isascii() and "&" not in line and line.isprintable():
            return line
        for name, repair in REPAIRS.items():
            if name in self.repair:
                line = repair(line)
        return line


@dataclass(frozen=True)
class Removal:
    """Pairs that a filter has removed from a corpus.

    ``alone`` counts the pairs that no other filter flags; ``examples`` are line numbers from 1 and pairs, the worst
    first. ``histograms`` have, for each side or for the pairs as a whole, counts of pairs by their score, the edges
    of the bins, and the limit.
    """

    filter: str
    problem: str
    num_pairs: int
    alone: int
    examples: list[tuple[int, str, str]]
    histograms: list[tuple[str, list[int], list[float], float]]


@dataclass(frozen=True)
class CleanReport:
    """The result of cleaning a corpus."""

    names: Pair
    num_pairs: int
    num_kept: int
    num_repaired: int
    removals: list[Removal]
    repairs: list[tuple[int, str, str]]
    """Examples: line number, text before, text after."""

    def counts(self) -> dict[str, Any]:
        """Returns the numbers of pairs: ``pairs``, ``kept``, ``repaired``, and ``removed`` by each filter."""
        removed = {each.filter: {"pairs": each.num_pairs, "alone": each.alone} for each in self.removals}
        return {"pairs": self.num_pairs, "kept": self.num_kept, "repaired": self.num_repaired, "removed": removed}


def clean(
    files: Sequence[Path],
    output: Path,
    settings: CleanSettings,
    tests: Sequence[tuple[Path, Path]] = (),
    max_length: int = 150,
    on_progress: Progress = lambda num_lines: None,
    earlier: PairHashes = NO_HASHES,
    pairs: PairSource | None = None,
) -> CleanReport:
    """Write the pairs of two files that no filter flags, those that are removed, and a report, into a new folder.

    The files are read three times and never held in memory. The folder appears when it is complete; a run that was
    stopped continues with its earlier results.

    Args:
        output: the folder. The text in it is named, and compressed, like the files.
        tests: test sets whose pairs must not remain.
        max_length: words of the longest side.
        on_progress: called with the number of lines read since the last call, in each pass.
        earlier: of pairs that come before these; such pairs are removed as repeated ones are.
        pairs: the text of the files, under the names to write it by, where they are not one file for each side.

    Raises:
        UserError: the folder exists; the files can't be read, are empty or differ in length; nothing is kept.
    """
    if output.exists():
        raise UserError(f"{output} exists already.", "Name another folder with -o, or delete it.")
    check_repeatable(*chain(files, *tests))
    check_target(output)
    of_earlier = hashlib.blake2b(b"".join(hashes.tobytes() for hashes in earlier)).hexdigest()
    begun = {"version": __version__, **settings.model_dump(mode="json"), "max_length": max_length, "before": of_earlier}
    with _partial(output, [*files, *chain(*tests)], begun) as partial:
        given = pairs or file_pairs(*files)
        filters = make_filters(settings.filters)
        statistics = CorpusStatistics(
            repaired(given, settings), _joined(tests, settings), None, max_length, on_progress
        )
        statistics.earlier = earlier
        _check_lengths(statistics)
        flagged = flag(statistics, filters, on_progress, partial)
        job = _Writing(given, settings, filters, statistics.num_pairs, flagged)
        with replacing(partial / RESULT) as folder:
            with explained(output):
                folder.mkdir()
            job.write(folder, output, on_progress)
            report = job.report()
            _write_settings(settings, filters, folder, output)
            with text_file(folder / REPORT, output / REPORT) as file:
                file.write(render("clean.html.j2", __file__, report=report, plural=plural))
        with explained(output):
            rename(partial / RESULT, output)
    return report


@contextmanager
def _partial(output: Path, files: Sequence[Path], settings: Mapping[str, Any]) -> Iterator[Path]:
    """The folder ``OUTPUT.partial``, in which a run that was stopped goes on; nothing of it remains at the end.

    Raises:
        UserError: a run with other files or settings has begun there, or is still writing there.
    """
    folder = output.with_name(f"{output.name}.partial")
    for path in files:
        next(read_lines(path, keep_invalid=True), "")  # refuses what can't be read
    with Journal.open(folder, {**settings, "files": list(map(sha256, files))}):
        remove_folder(folder / RESULT)
        try:
            yield folder
        except UserError as error:
            if not isinstance(error.__cause__, OSError):  # the text or the settings have to change
                remove_folder(folder)
            raise
        except KeyboardInterrupt:
            if any(folder.glob("*.npz")):
                say(f"what has been judged is kept in {folder}: the same command goes on with the rest")
            raise
    remove_folder(folder)


def _write_settings(settings: CleanSettings, filters: Mapping[str, Filter], folder: Path, output: Path) -> None:
    effective = {name: each.options.model_dump(mode="json") for name, each in filters.items()}
    left_out = {name: None for name, each in FILTERS.items() if each.removes and name not in filters}
    with text_file(folder / SETTINGS, output / SETTINGS) as file:
        yaml.safe_dump({"repair": settings.repair, "filters": effective | left_out}, file, sort_keys=False)


class _Writing:
    """The third pass, which writes text and keeps examples of removed and repaired lines."""

    def __init__(
        self,
        given: PairSource,
        settings: CleanSettings,
        filters: Mapping[str, Filter],
        num_pairs: int,
        flagged: Sequence[tuple[str, FlaggedPairs]],
    ) -> None:
        self._given, self._settings, self._flagged = given, settings, flagged
        self._bits = {name: np.uint64(1 << number) for number, name in enumerate(filters)}
        self.reasons = np.zeros(num_pairs, np.uint64)
        for name, found in flagged:
            self.reasons[found.indices] |= self._bits[name]
        worst, most = max(flagged, key=lambda each: len(each[1].indices), default=("", None))
        if self.reasons.all():
            message = f"Every pair would be removed, most of them by {worst!r}."
            raise UserError(message, f"{FILTERS[worst].remedy} Or change the limit of {worst!r}.")
        if most and len(most.indices) > num_pairs / 2:
            warn(f"{worst!r} removes {len(most.indices):,} of {num_pairs:,} pairs. {FILTERS[worst].remedy}")
        self._wanted = {int(index) for _, found in flagged for index in found.indices[:NUM_EXAMPLES]}
        self.examples: dict[int, Pair] = {}
        self.num_repaired = 0
        self.repairs: list[tuple[int, str, str]] = []

    def write(self, folder: Path, output: Path, on_progress: Progress) -> None:
        """Write all files of text."""
        texts = self._given.names
        if texts[0] == texts[1]:
            texts = f"source.{texts[0]}", f"target.{texts[1]}"
        with ExitStack() as stack:
            names = [*texts, REMOVED, REPAIRED]
            *kept, removed, repaired = (stack.enter_context(text_file(folder / name, output / name)) for name in names)
            for start, lines in self._given.batches(on_progress):
                for index, pair in enumerate(zip(*lines, strict=True), start):
                    better = (self._settings.repaired(pair[0]), self._settings.repaired(pair[1]))
                    if index in self._wanted:
                        self.examples[index] = better
                    if self.reasons[index]:
                        removed.write(self._removal(index, better))
                        continue
                    if better != pair:
                        repaired.write(self._repair(index, pair, better))
                    for file, line in zip(kept, better, strict=True):
                        file.write(f"{line}\n")

    def report(self) -> CleanReport:
        """Returns the report of the written corpus."""
        removals = [self._removals(name, bit) for name, bit in self._bits.items()]
        return CleanReport(
            self._given.names,
            len(self.reasons),
            int((self.reasons == 0).sum()),
            self.num_repaired,
            [each for each in removals if each.num_pairs],
            self.repairs,
        )

    def _removals(self, name: str, bit: np.uint64) -> Removal:
        """Describes what a filter has removed."""
        flagged, histograms = [each for other, each in self._flagged if other == name], []
        shown = list(dict.fromkeys(int(i) for each in flagged for i in each.indices[:NUM_EXAMPLES]))[:NUM_EXAMPLES]
        for each in flagged:
            if each.scores is not None and len(judged := each.scores[np.isfinite(each.scores)]):
                # A few extreme values would flatten everything else.
                top = max(float(np.percentile(judged, 99.5)), 1.5 * each.limit) or 1.0
                counts, edges = np.histogram(np.minimum(judged, top), NUM_BINS)
                title = "pairs" if each.side is None else self._given.names[each.side]
                histograms.append((title, counts.tolist(), edges.tolist(), each.limit))
        return Removal(
            name,
            FILTERS[name].problem,
            int((self.reasons & bit > 0).sum()),
            int((self.reasons == bit).sum()),
            [(i + 1, shorten(self.examples[i][0]), shorten(self.examples[i][1])) for i in shown],
            histograms,
        )

    def _removal(self, index: int, pair: Pair) -> str:
        why: dict[str, float | None] = {name: None for name, bit in self._bits.items() if self.reasons[index] & bit}
        for name, found in self._flagged:
            if name in why and found.scores is not None and found.scores[index] > (why[name] or -np.inf):
                why[name] = round(float(found.scores[index]), 4)
        return _json({"line": index + 1, "filters": why, "source": pair[0], "target": pair[1]})

    def _repair(self, index: int, before: Pair, after: Pair) -> str:
        self.num_repaired += 1
        changed = [side for side in (0, 1) if before[side] != after[side]]
        if len(self.repairs) < NUM_EXAMPLES:
            self.repairs.append((index + 1, shorten(before[changed[0]]), shorten(after[changed[0]])))
        sides = {("source", "target")[side]: {"before": before[side], "after": after[side]} for side in changed}
        return _json({"line": index + 1, **sides})


def _json(values: Mapping[str, Any]) -> str:
    # Bytes that are not UTF-8 are written as escapes of JSON.
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() + "\n"


def repaired(pairs: PairSource, settings: CleanSettings) -> PairSource:
    """The pairs with the repairs of the settings."""
    repair = settings.repaired  # of lines that are there
    return PairSource(pairs.names, lambda: ((s and repair(s), t and repair(t)) for s, t in pairs.read()))


def _joined(tests: Sequence[tuple[Path, Path]], settings: CleanSettings) -> CorpusStatistics | None:
    if not tests:
        return None
    sources = [repaired(file_pairs(*each), settings) for each in tests]
    for source in sources:
        _check_lengths(CorpusStatistics(source))
    return CorpusStatistics(
        PairSource(("test source", "test target"), lambda: chain(*(each.read() for each in sources)))
    )


def _check_lengths(statistics: CorpusStatistics) -> None:
    source, target = statistics.sides
    if source.num_lines != target.num_lines:
        raise UserError(
            f"{source.name} has {source.num_lines:,} lines, but {target.name} has {target.num_lines:,}.",
            "Line n of one file must translate line n of the other; `nmt check-data` finds where they diverge.",
        )
    if not source.num_lines:
        raise UserError(f"{source.name} is empty: there are no pairs to clean.", "Check the files.")
