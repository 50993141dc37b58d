"""Work over folders of shards: which files belong together, which are done already, and doing the rest.

A shard is a file of text or, of parallel text, a file of each side. It is done by one worker at a time, and its output
appears when it is complete. The journal in the output folder has a line for each finished shard, so the same command
goes on after a stop.
"""

import contextlib
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from nmt.core.compression import uncompressed
from nmt.core.console import Bar, progress_bar, say, warn
from nmt.core.errors import Problems, UserError
from nmt.core.files import explained, lock_file, remove_unfinished, sha256, sync
from nmt.core.jsonlines import parse_object
from nmt.extensions.shards.workers import Executor, Handle, JobFactory, Step, WorkerLostError
from nmt.translation.inputs import InputFormat

JOURNAL = ".nmt-shards.jsonl"
MAX_LOSSES = 3
"""Workers that may be lost with the same shard: it is likely to be the cause."""
ESTIMATE_AFTER = 10.0
"""Seconds of work from which the time that is left is estimated."""


@dataclass(frozen=True)
class Shard:
    """A piece of work: the text of each side, and the file or folder to write."""

    name: str
    inputs: tuple[Path, ...]
    output: Path

    def num_lines(self) -> int:
        """The number of lines, which must be the same on all sides.

        Raises:
            UserError: it isn't, or a file can't be read.
        """
        counts = [InputFormat.num_lines(path, None) for path in self.inputs]
        if len(set(counts)) > 1:
            told = ", but ".join(f"{path} has {n:,} lines" for path, n in zip(self.inputs, counts, strict=True))
            raise UserError(f"{told}.", "Line n of one must translate line n of the other; nothing was written.")
        return counts[0]

    def record(self) -> dict[str, str]:
        """Returns the journal's entry for a finished shard.

        Raises:
            UserError: a file is missing or can't be read.
        """
        try:
            return {path.name: sha256(path) for path in self.inputs}
        except OSError as error:
            remedy = "Put it back; the same command continues with the rest."
            raise UserError(f"{error.filename} can't be read any more: {error.strerror}.", remedy) from None


def find_shards(folders: Sequence[Path], output: Path) -> list[Shard]:
    """The shards of a folder, or of a folder for each side of parallel text, by name.

    Files of one folder give files of the same names. Of several folders, files belong together whose names differ at
    most in their ends, such as ``.de``; the output has the common part as its name.

    Raises:
        UserError: a folder has no files, or something that isn't a file, or lacks a shard of the other.
    """
    for folder in folders:
        if output.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{output} is in the folder of the shards, {folder}.", "Name another folder with -o.")
    of_folders = [_files(folder, is_only=len(folders) == 1) for folder in folders]
    for folder, files in zip(folders, of_folders, strict=True):
        for other, theirs in zip(folders, of_folders, strict=True):
            if missing := sorted(theirs.keys() - files.keys()):
                raise UserError(
                    f"{folder} has no partner of {other / theirs[missing[0]].name}"
                    + (f" and {len(missing) - 1:,} others." if missing[1:] else "."),
                    f"Name folders whose files have the same names apart from the language ({missing[0]}.de).",
                )
    return [Shard(name, tuple(files[name] for files in of_folders), output / name) for name in sorted(of_folders[0])]


def _files(folder: Path, is_only: bool) -> dict[str, Path]:
    """The files of a folder by the names of their shards, without hidden ones and those of Word for open files."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Name a folder of shards, or two files.")
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith((".", "~$"))):
        if not path.is_file():
            raise UserError(f"{path} is not a file.", f"Keep only shards in {folder}, or name a folder in it.")
        if path.name.encode(errors="replace").decode() != path.name:
            raise UserError(f"The name of {str(path)!a} is not UTF-8.", "Rename it: a journal has the names of shards.")
        if path.suffix == ".partial":  # and its output might be that of another shard until this is complete
            raise UserError(f"{path} is of a run that was stopped.", "Finish that run, or delete or rename the file.")
        name = path.name if is_only else uncompressed(path).stem
        if name in found:
            raise UserError(f"{found[name]} and {path} are the same shard, {name}.", "Give them other names.")
        found[name] = path
    if not found:
        raise UserError(f"{folder} has no files.", "Name a folder of shards.")
    return found


class Journal:
    """Record of finished work in a folder, such as shards, and of the settings; see :meth:`open`."""

    def __init__(self, file: BinaryIO, records: Mapping[str, Any]) -> None:
        self._file, self._records = file, dict(records)

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path, settings: Mapping[str, Any]) -> Iterator["Journal"]:
        """Creates or continues a folder, and keep other processes from writing into it while this context is open.

        Args:
            folder: may exist if it is empty, or if it was begun with the same settings.
            settings: values of JSON; shards that were done with others would not belong to these.

        Raises:
            UserError: the folder is another's, or can't be written.
        """
        path = folder / JOURNAL
        with explained(folder):
            folder.mkdir(exist_ok=True)
            if not path.exists() and any(folder.iterdir()):
                raise UserError(f"{folder} exists already, with other files.", "Name another folder with -o.")
            file = path.open("a+b")
        with file:
            lock_file(file, str(folder))
            remove_unfinished(folder)
            file.seek(0)
            lines = [line for line in file if line.endswith(b"\n")]
            file.truncate(sum(map(len, lines)))  # a line whose writer was killed
            given = json.loads(json.dumps(settings))
            try:
                first, *records = map(parse_object, lines) if lines else [given]
                journal = cls(file, {record["shard"]: record for record in records})
            except (ValueError, TypeError, KeyError):
                raise UserError(f"{path} is damaged.", f"Delete {folder} to start again.") from None
            for key in first.keys() | given.keys():
                if first.get(key) != given.get(key):
                    raise UserError(
                        f"{folder} was begun with another {key}: {first.get(key)!r}, not {given.get(key)!r}.",
                        "Give the options of that run, or name another folder with -o.",
                    )
            if not lines:
                journal._append(settings)
                sync(folder)
            try:
                yield journal
            finally:
                remove_unfinished(folder)
                if folder.exists() and [each.name for each in folder.iterdir()] == [JOURNAL]:  # nothing was begun
                    path.unlink()
                    folder.rmdir()

    def left(self, shards: Sequence[Shard], folder: Path) -> list[Shard]:
        """The shards that are not done yet.

        Raises:
            UserError: the input of a finished shard is missing or has changed.
        """
        gone = sorted(self._records.keys() - {shard.name for shard in shards})
        if gone:
            raise UserError(
                f"{gone[0]} is done in {folder}, but it isn't among the shards any more.",
                "Put it back, or name another folder with -o.",
            )
        left = []
        for shard in shards:
            if shard.name not in self._records or not shard.output.exists():
                left.append(shard)
            elif self._records[shard.name]["inputs"] != shard.record():
                remedy = f"Delete {shard.output} to do it again, or name another folder with -o."
                raise UserError(f"{shard.inputs[0]} has changed since it was done.", remedy)
        return left

    def add(self, shard: Shard, result: Any) -> None:
        """Record that a shard is done; JSON can have its result."""
        self._records[shard.name] = {"shard": shard.name, "inputs": shard.record(), "result": result}
        self._append(self._records[shard.name])

    def result(self, shard: Shard) -> Any:
        """The result of a finished shard."""
        return self._records[shard.name]["result"]

    def _append(self, values: Mapping[str, Any]) -> None:
        with explained(self._file.name):
            self._file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())


def run(
    shards: Sequence[Shard],
    output: Path,
    settings: Mapping[str, Any],
    executor: Executor,
    make: JobFactory,
    verb: str,
    num_lines: Callable[[Shard], int] = Shard.num_lines,
) -> list[Any]:
    """Do the shards that are not done yet, with messages about the time that is left.

    Args:
        executor: where the workers run; it is closed.
        make: makes what does a shard; see :class:`nmt.extensions.shards.workers.Job`.

    Returns:
        The result of each shard.

    Raises:
        UserError: of a shard, or a shard has cost several workers. Finished shards remain.
    """
    with contextlib.closing(executor), contextlib.ExitStack() as stack:
        sizes, problems = dict[Shard, int](), Problems()
        for each in shards:
            try:
                sizes[each] = num_lines(each)
            except UserError as error:
                problems.add(_explained(each, error))
        problems.raise_if_any(str(shards[0].inputs[0].parent))
        journal = stack.enter_context(Journal.open(output, settings))
        todo = {shard: sizes[shard] for shard in journal.left(shards, output)}
        done = f", of which {len(shards) - len(todo):,} are done" if len(todo) < len(shards) else ""
        num_workers = min(executor.num_workers, len(todo))
        say(f"{verb} {len(shards):,} shards{done}: {sum(todo.values()):,} lines, workers: {num_workers:,}")
        with progress_bar(verb, sum(todo.values())) as bar:
            progress = _Progress(todo, bar, verb)
            largest_first = sorted(todo, key=lambda shard: -todo[shard])
            try:
                for shard, (kind, value) in steps(largest_first, executor, make):
                    if shard is not None and kind == "done":
                        journal.add(shard, value)
                    progress.take(shard, kind, value)
            finally:
                if 0 < progress.num_done < len(todo):
                    left = len(todo) - progress.num_done
                    say(f"{left:,} of {len(shards):,} shards are left; the same command goes on with them.")
        say(f"wrote {output}: {len(shards):,} shards" + (f", {progress.speed:,.0f} lines/s" if todo else ""))
        return [journal.result(shard) for shard in shards]


def steps(shards: Sequence[Shard], executor: Executor, make: JobFactory) -> Iterator[tuple[Shard | None, Step]]:
    """Do the shards, and give out the steps of the workers as they come; see :mod:`nmt.extensions.shards.workers`.

    The shard of a lost worker is done again by another, after a step of the kind ``lost``.

    Raises:
        UserError: of a worker, or several workers were lost with the same shard.
    """
    todo, losses = deque(shards), Counter[Shard | None]()
    busy: dict[Handle, Shard | None] = {}
    try:
        for number in range(min(executor.num_workers, len(todo))):
            busy[executor.start_worker(make, number)] = None
        while busy:
            for worker in executor.ready(list(busy)):
                shard = busy[worker]
                try:
                    kind, value = worker.receive()
                except WorkerLostError as lost:
                    del busy[worker]
                    worker.stop()
                    losses[shard] += 1
                    if losses[shard] == MAX_LOSSES:
                        where = f"with the shard {shard.name}" if shard else "as they started"
                        remedy = "If memory is short, give fewer --workers or a smaller --batch-size."
                        raise UserError(f"{MAX_LOSSES} workers were lost {where}: {lost}.", remedy) from None
                    if shard is not None:
                        todo.appendleft(shard)
                    yield shard, ("lost", lost)
                    busy[executor.start_worker(make, worker.number)] = None
                    continue
                if kind == "error":
                    raise RuntimeError(f"in a worker:\n{value}") if isinstance(value, str) else _explained(shard, value)
                yield shard, (kind, value)
                if kind in ("ready", "done"):
                    if todo:
                        busy[worker] = todo.popleft()
                        worker.give(busy[worker])
                    else:
                        del busy[worker]
                        worker.stop()
    finally:
        for worker in busy:
            worker.stop()


def _explained(shard: Shard | None, error: UserError) -> UserError:
    """The error of a worker, which names the shard."""
    if shard is None or any(str(path) in error.message for path in shard.inputs):
        return error
    return UserError(f"{shard.name}: {error.message}", error.remedy)


class _Progress:
    def __init__(self, todo: Mapping[Shard, int], bar: Bar, verb: str) -> None:
        self._num_shards, self._total, self._bar, self._verb = len(todo), sum(todo.values()), bar, verb
        self._started: float | None = None
        self._of_shard, self._num_new = Counter[Shard | None](), 0
        self._has_estimate = False
        self.num_done = 0

    @property
    def speed(self) -> float:
        """Lines a second since the first worker was ready."""
        return self._num_new / max(time.monotonic() - (self._started or 0.0), 1e-9)

    def take(self, shard: Shard | None, kind: str, value: Any) -> None:
        """Count and report a step."""
        name = shard.name if shard is not None else "a worker"
        if kind == "ready" and self._started is None:
            self._started = time.monotonic()
        elif kind == "warning":
            warn(f"{name}: {value}")
        elif kind == "lost":
            again = f"{name} is done again" if shard is not None else "another one starts"
            warn(f"a worker was lost ({value}); {again}.")
            self._of_shard.pop(shard, None)  # the lines that are kept are reported again
        elif kind == "done":
            self.num_done += 1
        elif kind in ("before", "lines"):
            self._of_shard[shard] += value
            self._num_new += value if kind == "lines" else 0
            self._show()

    def _show(self) -> None:
        if self._started is None or not self._num_new:
            return
        done, seconds = sum(self._of_shard.values()), time.monotonic() - self._started
        if seconds >= ESTIMATE_AFTER and not self._has_estimate:
            self._has_estimate = True
            left = timedelta(seconds=round((self._total - done) / self.speed))
            say(f"about {left} left (hours:minutes:seconds), at {self.speed:,.0f} lines/s")
        shown = f"{self._verb} {self.num_done:,}/{self._num_shards:,} shards, {self.speed:,.0f} lines/s"
        self._bar.update(done, shown)
