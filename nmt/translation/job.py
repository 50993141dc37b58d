"""A translation job: lines in, lines out, resumed after a stop; and a conversation, line by line."""

import contextlib
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

import torch

from nmt.core.console import warn
from nmt.core.errors import UserError, shortened
from nmt.core.text import in_windows
from nmt.decoding.search import ModelSearcher
from nmt.jobs.forked import CAN_FORK, map_forked
from nmt.translation.glossary import Glossary
from nmt.translation.loaded import WINDOW
from nmt.translation.options import DEFAULTS, TranslationOptions
from nmt.translation.request import Request
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

NUM_CHECKED = 5
"""Lines of an earlier run that are translated again, to see whether they belong to this job."""

_FIGURE = re.compile(r"-?\d+\.\d+")
_REMEDY = "Give the input, the model and the options of the run that was stopped, or delete the file to start again."

Search = Callable[[Sequence[Request]], Iterable[Translation]]
"""Translates the requests of a window."""


class Stage(Protocol):
    """Translates the requests of a window, most of them by a search."""

    def __call__(
        self, requests: Sequence[Request], *, search: Search, translator: Translator, options: TranslationOptions
    ) -> Iterable[Translation]: ...


@dataclass(frozen=True)
class TranslationJob:
    """Job of ``nmt translate``."""

    translator: Translator
    write: Callable[[Translation], str]
    """The line of output, without its end."""
    read: Callable[[str, int], Request] = Request.from_text
    """Returns the request of a line of input, given its number."""
    options: TranslationOptions = DEFAULTS
    stages: tuple[Stage, ...] = ()
    """Steps of extensions, which take the place of a search or surround it."""
    glossary: Glossary | None = None
    """Has translations of terms."""
    can_fork: bool = False
    """Whether the stages, if there are any, work in several processes."""
    counts_lines: bool = True
    """Whether the stages search for lines; otherwise, for parts of them, progress is told for a window at a time."""
    num_processes: int = 1
    """Processes that translate a window each, where the lines fill one."""

    def run(
        self,
        lines: Iterable[str],
        first_line: int = 1,
        on_progress: Callable[[int], None] = lambda lines: None,
        again: Sequence[str] = (),
    ) -> Iterator[Translation]:
        """Translations of the lines, in order.

        Args:
            again: lines before them, which are translated in one window with them but not given out.
        """
        skipped = len(again)
        windows = in_windows(chain(again, lines) if again else lines, self._window)
        for translations in self._each(_numbered(windows, first_line - skipped, skipped), on_progress):
            yield from islice(translations, skipped, None)
            skipped = 0

    def _each(
        self, windows: Iterator[tuple[int, list[str]]], on_progress: Callable[[int], None]
    ) -> Iterator[Iterable[Translation]]:
        """Yields the translations of each window, which has the number of its first line."""
        first = list(islice(windows, 1))
        windows = chain(first, windows)
        if self.num_processes == 1 or all(len(window) < self._window for _, window in first):
            for number, window in windows:
                yield self._translate(number, window, on_progress)
            return
        num_threads = max(1, torch.get_num_threads() // self.num_processes)

        def translate(window: tuple[int, list[str]], count: Callable[[int], None]) -> list[Translation]:
            torch.set_num_threads(num_threads)
            return list(self._translate(*window, count))

        yield from map_forked(translate, windows, self.num_processes, on_progress)

    def _translate(
        self, first_line: int, window: Sequence[str], on_progress: Callable[[int], None]
    ) -> Iterator[Translation]:
        on_search = on_progress if self.counts_lines else lambda parts: None
        search: Search = partial(
            self.translator.stream, options=self.options, on_progress=on_search, first_line=first_line
        )
        requests = [self.read(line, number) for number, line in enumerate(window, start=first_line)]
        if self.glossary is not None:
            requests = [self.glossary.requested(each, self.translator.task.reader.current) for each in requests]
        for stage in self.stages:
            search = partial(stage, search=search, translator=self.translator, options=self.options)
        yield from search(requests)
        if not self.counts_lines:
            on_progress(len(requests))

    def in_processes(self, input: str, num_processes: int | None = None) -> "TranslationJob":
        """Returns the job with several processes, where a CPU translates a file.

        Threads of one process wait for Python's lock between the operations of a search.

        Args:
            input: the file; its lines can be read ahead, while a pipe may wait for an answer.
            num_processes: None for one for each of PyTorch's threads.

        Raises:
            UserError: more than one was asked for, and that is not possible.
        """
        can_share = isinstance(self.translator.searcher, ModelSearcher) and self.translator.model.device.type == "cpu"
        if CAN_FORK and can_share and (self.can_fork or not self.stages) and Path(input).is_file():
            return replace(self, num_processes=num_processes or torch.get_num_threads())
        if (num_processes or 1) > 1:
            raise UserError(
                "Several --workers need a file or folder as the input, PyTorch on a CPU, Linux, and no --memory.",
                "Leave out --workers, or an option that needs one process, such as --memory.",
            )
        return self

    @property
    def reports_degenerate(self) -> bool:
        """Whether degenerate translations are counted."""
        return self.translator.task.reports_degenerate

    @property
    def _window(self) -> int:
        """Lines that are translated together."""
        return WINDOW * self.translator.options(**self.options.decoding).batch_size

    def skip(self, lines: Iterator[str], done: Iterable[str], name: str) -> tuple[int, list[str]]:
        """Pass over the lines that an earlier run has translated.

        Its last few translations are made again: if most of them differ, they come from another input, another
        model or other options. A single one may differ, where two candidates are equally probable. With a
        shortlist, which depends on the other lines of a batch, they may differ in half of their characters.

        Returns:
            The number of lines that are done, and the lines of the window in which the earlier run stopped: with them
            ``again``, :meth:`run` has the windows of a run that was not stopped, and so the last digits of its scores.

        Raises:
            UserError: the output belongs to another job.
        """
        number, last, window = 0, deque[tuple[int, str, str]](maxlen=NUM_CHECKED), list[str]()
        size = self._window
        for number, output in enumerate(done, start=1):
            line = next(lines, None)
            if line is None:
                raise UserError(f"{name} has more lines than the input, which ends at {number - 1:,}.", _REMEDY)
            if line.strip():
                last.append((number, line, output))
            window.append(line)
            if number % size == 0:
                window.clear()
        wrong = [
            (number, output, again)
            for number, line, output in last
            for again in map(self.write, self.run([line], number))
            if not self._agree(_FIGURE.sub("", again), _FIGURE.sub("", output))  # scores differ in their last digit
        ]
        if 2 * len(wrong) > len(last):
            at, output, again = wrong[0]
            raise UserError(
                f"{name} comes from another job: line {at:,} is {shortened(output)!r}, not {shortened(again)!r}.",
                _REMEDY,
            )
        return number, window

    def _agree(self, line: str, before: str) -> bool:
        """Whether a line of output can be that of an earlier run."""
        if line == before:
            return True
        depends_on_batch = self.translator.options(**self.options.decoding).shortlist is not None
        return depends_on_batch and SequenceMatcher(None, line, before, autojunk=False).ratio() > 0.5

    def converse(self) -> None:
        """Ask for lines and print their translations, until the input ends."""
        data = self.translator.recipe.data
        for line in _typed(f"{data.source}> "):
            if line.strip():
                print(f"{data.target}> {self.write(next(self.run([line])))}", flush=True)


def _numbered(windows: Iterator[list[str]], first_line: int, num_again: int) -> Iterator[tuple[int, list[str]]]:
    """Yields windows with the numbers of their first lines; none that has no lines but those that are done."""
    for window in windows:
        if len(window) > num_again:  # otherwise the input ends, or has an error that is still to be raised
            yield first_line, window
        first_line, num_again = first_line + len(window), 0


def _typed(prompt: str) -> Iterator[str]:
    """Lines from the terminal or from a pipe."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if on_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() a history and keys to edit the line
    while True:
        try:
            if not on_terminal:  # input() would write its prompt among the results
                print(prompt, end="", file=sys.stderr, flush=True)
            yield input(prompt if on_terminal else "")
        except EOFError:
            print(file=sys.stderr)
            return
        except UnicodeDecodeError as error:
            warn(f"that line is not {error.encoding.upper()}.")
