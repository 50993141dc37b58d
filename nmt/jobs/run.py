"""Runs a job line by line; what a stopped run has written is kept and continued."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from nmt.core.output import ResumableOutput

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


def _ignore(*counts: int) -> None: ...


def run(
    job: LineJob[ResultT],
    input: Iterator[str],
    output: ResumableOutput,
    resume: bool,
    on_start: Callable[[int, int], None] = _ignore,
    on_progress: Callable[[int], None] = _ignore,
) -> Iterator[ResultT]:
    """Writes the output of a job, and yields each result when its line is written.

    The output is complete, and has its final name, when the iterator is exhausted.

    Args:
        output: file to write; its complete lines are the journal of the run.
        resume: continue after the lines that a stopped run has written.
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
