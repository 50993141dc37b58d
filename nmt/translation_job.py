"""A translation job: lines in, lines out, and how one that was stopped goes on."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nmt.decoding.results import Translation
from nmt.errors import UserError
from nmt.translator import Translator

NUM_CHECKED = 5
"""Lines of an earlier run that are translated again, to see whether they belong to this job."""

_FIGURE = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Job:
    """What ``nmt translate`` makes of each line."""

    translator: Translator
    written: Callable[[Translation], str]
    """The line of output, without its end."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of :meth:`Translator.stream`."""

    def run(
        self, lines: Iterable[str], first_line: int = 1, on_progress: Callable[[int], None] = lambda lines: None
    ) -> Iterator[str]:
        """Lines of output, in order; ``first_line`` is the number of the first in warnings."""
        found = self.translator.stream(lines, on_progress=on_progress, first_line=first_line, **self.options)
        return map(self.written, found)

    def skip(self, lines: Iterator[str], done: Iterable[str], name: str) -> int:
        """Pass over the lines that an earlier run has translated.

        Its last few translations are made again: if most of them differ, they come from another input, another
        model or other options. A single one may differ, where two candidates are equally probable.

        Args:
            lines: the input, from its first line.
            done: the output of the earlier run.
            name: of the file it is in, for messages.

        Returns:
            The number of lines that are done.

        Raises:
            UserError: the output belongs to another job.
        """
        number, last = 0, deque[tuple[int, str, str]](maxlen=NUM_CHECKED)
        for number, output in enumerate(done, start=1):
            line = next(lines, None)
            if line is None:
                raise UserError(f"{name} has more lines than the input, which ends at {number - 1:,}.", _REMEDY)
            if line.strip():
                last.append((number, line, output))
        wrong = [
            (number, output, again)
            for number, line, output in last
            for again in self.run([line], number)
            if _FIGURE.sub("", again) != _FIGURE.sub("", output)  # scores differ in their last digit
        ]
        if 2 * len(wrong) > len(last):
            at, output, again = wrong[0]
            raise UserError(f"{name} comes from another job: line {at:,} is {output!r}, not {again!r}.", _REMEDY)
        return number


_REMEDY = "Give the input, the model and the options of the run that was stopped, or delete the file to start anew."
