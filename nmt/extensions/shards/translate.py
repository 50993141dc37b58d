"""``nmt translate`` of folders of shards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.cli.translation_options import AddedOptions, TranslateOptions
from nmt.core.console import warn
from nmt.extensions.shards.cli import FolderOptions

if TYPE_CHECKING:
    from nmt.extensions.shards.shards import Shard
    from nmt.extensions.shards.workers import Job, Step
    from nmt.translation.job import TranslationJob

CORES = 4
"""Cores of a machine for each worker: more than four batches at a time wait for Python's lock."""
NUM_REPORTED = 256
"""Lines of a shard after which a worker reports them."""


@dataclass(frozen=True)
class ShardOptions(FolderOptions, AddedOptions):
    """Options of folders."""

    def translated(self, options: TranslateOptions, input: str, output: str, device: str, workers: int | None) -> bool:
        if not self.is_for(input):
            return False
        from nmt.extensions.shards import shards
        from nmt.translation.inputs import format_of

        found, executor = self.open([Path(input)], Path(output), workers, device, CORES)

        def num_lines(shard: "Shard") -> int:
            [path] = shard.inputs
            kind = format_of(path, options.input_format)
            kind.check(path, options)
            return kind.num_lines(path, options.input_format)

        make = partial(start_shards, options.job, device, input_format=options.input_format)
        shards.run(found, Path(output), _settings(options), executor, make, "translating", num_lines)
        return True


def _settings(options: TranslateOptions) -> dict[str, Any]:
    """Returns the settings of the journal; those of extensions are there if they were requested."""
    from nmt.core.files import sha256
    from nmt.core.model_directory import ModelDirectory

    settings = {**options.decoding} | vars(options) | {
        "model_dir": ModelDirectory(options.model_dir).digest(),
        "ensemble": [ModelDirectory(path).digest() for path in options.ensemble or ()],
        "forbid": options.forbid or [],
        "unknown_lexicon": options.unknown_lexicon and sha256(options.unknown_lexicon),
        "glossary": options.glossary and sha256(options.glossary),
        "input_format": options.input_format or "text",
    }  # fmt: skip
    for added in options.added:
        settings |= {} if isinstance(added, ShardOptions) else added.changes()
    del settings["decoding"], settings["added"]
    return settings


def start_shards(
    make_job: "Callable[[str], TranslationJob]", device: str, number: int, input_format: str | None = None
) -> "Job":
    """Makes what translates shards in a worker.

    Args:
        device: of all workers, as ``pick_device`` takes it.
    """
    job = make_job(nth_device(device, number))
    list(job.run([""]))  # refuses wrong options before anything is written
    return partial(_translate_shard, job, input_format)


def nth_device(name: str, number: int) -> str:
    """The device of one of several processes, by its number from 0: with ``auto`` or ``cuda`` the GPUs in turn."""
    from nmt.extensions.shards.workers import num_gpus

    count = num_gpus(name)
    return f"cuda:{number % count}" if count > 1 else name


def _translate_shard(job: "TranslationJob", input_format: str | None, shard: "Shard") -> "Iterator[Step]":
    """Translates a shard, or what a lost worker has left of it."""
    from nmt.core.text import in_windows
    from nmt.jobs.run import run
    from nmt.metrics.degenerate import DegenerateCount
    from nmt.translation.inputs import format_of

    [path] = shard.inputs
    work = format_of(path, input_format).open(job, path, shard.output, input_format)
    num_done = work.output.num_lines
    degenerate = DegenerateCount(num_before=num_done)
    yield "before", num_done
    for part in in_windows(run(work.job, work.lines, work.output, resume=num_done > 0), NUM_REPORTED):
        for translation in part:
            degenerate.add(translation.text, translation.source)
        yield "lines", len(part)
    if degenerate.is_serious and job.reports_degenerate:
        warn(f"{degenerate.summary()}.")
    yield "done", None
