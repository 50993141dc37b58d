"""``nmt clean`` of folders of shards: each is cleaned as a corpus of its own, but for pairs that an earlier one has."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nmt.core.console import progress_bar, warn
from nmt.core.files import remove_folder, sha256
from nmt.extensions.cleaning.clean import CleanSettings, clean, repaired
from nmt.extensions.cleaning.statistics import NO_HASHES, Hashes, PairHashes, file_pairs, pair_hashes
from nmt.extensions.shards import shards
from nmt.extensions.shards.shards import Shard
from nmt.extensions.shards.workers import Executor, Job, Step

COMPARED = ("duplicate-pairs", "near-duplicates")
"""Filters that compare pairs with each other."""

Tests = Sequence[tuple[Path, Path]]


def clean_shards(
    found: Sequence[Shard], output: Path, settings: CleanSettings, tests: Tests, max_length: int, executor: Executor
) -> dict[str, Any]:
    """Clean each shard into a folder of its own; read :func:`nmt.extensions.cleaning.clean.clean` first.

    Where pairs are compared with each other, all shards are read once more before, for their hashes: a pair that an
    earlier shard has is removed as one of the same corpus is. Statistics of the corpus, such as the usual
    length ratio, they learn from each shard alone.

    Returns:
        Numbers of pairs of all shards: ``pairs``, ``kept``, ``repaired``, and ``removed`` by each filter.

    Raises:
        UserError: of :func:`nmt.extensions.shards.shards.run`, or of ``clean``.
    """
    sizes = {shard: shard.num_lines() for shard in found}  # of different lengths now rather than later
    if empty := [shard.name for shard, size in sizes.items() if not size]:
        warn(f"{', '.join(empty)}: no lines, so nothing is written.")
    found = [shard for shard, size in sizes.items() if size] or found
    compared = any(settings.filters.get(name) is not None for name in COMPARED)
    earlier = dict[str, PairHashes]()  # in each shard, those that an earlier one has, too
    if compared:
        of_shards = _hashes(found, settings, executor)
        hashes, keys = map(_shared, zip(*of_shards.values(), strict=True))
        earlier = dict(zip(of_shards, zip(hashes, keys, strict=True), strict=True))
    make = partial(_start_cleaning, settings, tests, max_length, earlier)
    of_tests = [sha256(path) for pair in tests for path in pair]
    options = {**settings.model_dump(mode="json"), "test": of_tests, "max_length": max_length}
    total: dict[str, Any] = {"pairs": 0, "kept": 0, "repaired": 0, "removed": {}}
    results = shards.run(found, output, options, executor, make, "cleaning", sizes.__getitem__)
    for shard, result in zip(found, results, strict=True):
        for name in ("pairs", "kept", "repaired"):
            total[name] += result[name]
        for name, counts in result["removed"].items():
            total["removed"].setdefault(name, Counter()).update(counts)
        if "num_earlier" in result and result["num_earlier"] < sum(map(len, earlier.get(shard.name, NO_HASHES))):
            warn(f"{shard.output} has pairs of a shard that came later: delete the folder and clean once more.")
    return total


def _hashes(found: Sequence[Shard], settings: CleanSettings, executor: Executor) -> dict[str, PairHashes]:
    """The hashes of each shard, by its name and in the order of the shards."""
    results: dict[str, PairHashes] = {}
    with progress_bar("comparing shards", len(found)) as bar:
        for done, (kind, value) in shards.steps(found, executor, partial(_start_hashing, settings)):
            if done is not None and kind == "done":
                results[done.name] = value
                bar.advance()
    return {shard.name: results[shard.name] for shard in found}


def _shared(of_shards: Sequence[Hashes]) -> list[Hashes]:
    shard = np.repeat(np.arange(len(of_shards)), list(map(len, of_shards)))
    everything = np.concatenate(of_shards)
    _, first, inverse = np.unique(everything, return_index=True, return_inverse=True)
    is_shared = shard[first][inverse] < shard
    return [np.unique(everything[is_shared & (shard == number)]) for number in range(len(of_shards))]


def _start_hashing(settings: CleanSettings, number: int) -> Job:
    def work(shard: Shard) -> Iterator[Step]:
        yield "done", pair_hashes(repaired(file_pairs(*shard.inputs), settings))

    return work


def _start_cleaning(
    settings: CleanSettings, tests: Tests, max_length: int, earlier: Mapping[str, PairHashes], number: int
) -> Job:
    def work(shard: Shard) -> Iterator[Step]:
        yield "before", 0
        remove_folder(shard.output)  # of a run that was killed before it had recorded the shard
        (source, target), own = shard.inputs, earlier.get(shard.name, NO_HASHES)
        report = clean((source, target), shard.output, settings, tests, max_length, earlier=own)
        yield "lines", report.num_pairs
        yield "done", {**report.counts(), "num_earlier": sum(map(len, own))}

    return work
