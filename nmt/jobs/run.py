"""Runs a job line by line; the output of a stopped run is kept and continued."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO, TypeVar

from nmt.core.compression import of_name
from nmt.core.errors import UserError
from nmt.core.files import check_target, explained, in_use, lock_file, rename
from nmt.core.output import STANDARD_STREAM, Output, binary_file, open_output

ResultT = TypeVar("ResultT")


class LineJob(Protocol[ResultT]):
    """Computes a result for each line of input and writes it as a line of output."""

    def run(
        self, lines: Iterable[str], first_line: int, on_progress: Callable[[int], None], again: Sequence[str]
    ) -> Iterator[ResultT]:
        """Yields the result of each line, in order; ``again`` are lines before them that only complete a window."""

    def write(self, result: ResultT, /) -> str:
        """Returns the line of output, without its end."""

    def skip(self, lines: Iterator[str], done: Iterable[str], name: str) -> tuple[int, list[str]]:
        """Passes over lines that are done; returns their number and the lines to give to ``run`` as ``again``.

        Raises:
            UserError: the output, a file called ``name``, is of another job.
        """


class ResumableOutput:
    """A file that is ``FILE.partial`` until it is complete; standard output and devices are written directly.

    A file whose name asks for compression is compressed when it is complete.

    Args:
        path: the file, or ``"-"`` for standard output.
        finish: makes what is wanted at ``path`` of the complete ``FILE.partial``, which is then deleted; None: the file
            itself is wanted.

    Raises:
        UserError: the file or its folder can't be written.
    """

    def __init__(self, path: Path | str, finish: Callable[[Path], None] | None = None) -> None:
        self._path, self._finish = path, finish or (self._compress if of_name(path) else None)
        self.partial: Path | None = None
        """Where the lines are until the file is complete; None for output that can't be resumed."""
        if str(path) != STANDARD_STREAM and check_target(Path(path)):
            self._final = Path(os.path.realpath(path))  # a link stays a link
            self.partial = self._final.with_name(f"{self._final.name}.partial")

    def lines(self) -> Iterator[str]:
        r"""The complete lines that an earlier run has left, without their ``\n``."""
        return (line[:-1].decode("utf-8", "replace") for line in self._raw_lines())

    @property
    def num_lines(self) -> int:
        """Number of complete lines that an earlier run has written."""
        return sum(1 for _ in self._raw_lines())

    def _raw_lines(self) -> Iterator[bytes]:
        if self.partial is not None and self.partial.exists():
            with explained(self.partial), self.partial.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[TextIO]:
        """A stream to write to; the file gets its name when the block ends without an error.

        Args:
            resume: append to the complete lines of an earlier run; without it there must be none.

        Raises:
            UserError: another process writes it, an earlier run has left lines, or there is nothing to resume.
        """
        if self.partial is None:
            if resume:
                raise UserError("--resume needs an output file.", "Name one with -o.")
            with open_output(self._path) as stream:
                yield stream
            return
        has_lines = self._final.is_file() and self._final.stat().st_size
        if resume and has_lines and self._finish is None and not self.partial.exists():
            self.partial = self._final  # complete, unless it is of another job or the input has grown
        output = Output(self._open_partial(self.partial, resume), str(self.partial))
        try:
            yield output
            output.flush()
            with explained(self._path):
                if os.name == "nt":  # Windows can't rename an open file
                    output.close()
                if self._finish is None:
                    rename(self.partial, self._final)
                else:
                    self._finish(self.partial)
                    self.partial.unlink()
        finally:
            with contextlib.suppress(OSError, UserError):
                output.close()
            with contextlib.suppress(OSError):
                if self.partial.stat().st_size == 0:
                    self.partial.unlink()

    def _compress(self, partial: Path) -> None:
        with binary_file(self._path) as packed, partial.open("rb") as plain:
            shutil.copyfileobj(plain, packed, 1 << 20)

    def _open_partial(self, partial: Path, resume: bool) -> BinaryIO:
        with explained(partial), contextlib.ExitStack() as undo:
            file = undo.enter_context(partial.open("r+b" if partial.exists() else "xb"))
            lock_file(file, str(partial))
            if not (partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat())):
                raise in_use(str(partial))  # it was complete and got its name between opening and locking
            if not resume and (num_lines := self.num_lines):
                raise UserError(
                    f"{partial} holds {num_lines:,} lines of a run that was stopped.",
                    "Give --resume to continue after them, or delete the file to start again.",
                )
            end = file.seek(sum(map(len, self._raw_lines())))
            if partial == self._final and file.read(1):  # an editor has left it, or another program
                raise UserError(f"The last line of {partial} has no end.", "End it, or delete the file to start again.")
            file.truncate(end)  # an incomplete last line
            undo.pop_all()
            return file


def run(
    job: LineJob[ResultT],
    input: Iterator[str],
    output: ResumableOutput,
    resume: bool,
    on_start: Callable[[int, int], None] = lambda done, again: None,
    on_progress: Callable[[int], None] = lambda lines: None,
) -> Iterator[ResultT]:
    """Writes the output of a job, and yields each result when its line is written.

    The output is complete, and has its final name, when the iterator is exhausted.

    Args:
        resume: continue after the complete lines that a stopped run has written.
        on_start: called with the number of lines that are done, and how many of them are computed again.
        on_progress: called with the number of lines that were computed since the last call.

    Raises:
        UserError: the output can't be written, is of another job, or another process writes it.
    """
    with output.open(resume) as file:
        num_done, again = job.skip(input, output.lines(), str(output.partial)) if resume else (0, [])
        on_start(num_done, len(again))
        for result in job.run(input, num_done + 1, on_progress, again):
            file.write(f"{job.write(result)}\n")
            file.flush()
            yield result
