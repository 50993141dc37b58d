"""Messages, progress bars and tables. Everything but results goes to stderr."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from nmt.core.errors import UserError

Item = TypeVar("Item")

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}  # which terminals obey


class Screen(Console):
    """Shows texts as they are, and control characters by their codes, also in tables and bars."""

    def render_str(self, text: str, **options: Any) -> Text:
        options |= dict.fromkeys(("emoji", "markup", "highlight"), False)
        return super().render_str(text.translate(CONTROLS), **options)


stderr = Screen(stderr=True)
_quiet = False
_silent = False
_last_message = time.monotonic()
_on_warning: Callable[[str], None] | None = None

ROOMY = 120  # characters of a terminal that has room for the figures and a bar

SPEED_PERIOD = 300.0
"""Seconds over which a bar estimates its speed: long enough for a run's validations not to upset it."""


def be_quiet(wanted: bool = True) -> None:
    """Show no messages and bars from now on, if wanted; errors and results are still shown."""
    global _quiet
    _quiet = _quiet or wanted


def be_silent() -> None:
    """Show nothing but errors: only one process of a run logs."""
    global _silent
    be_quiet()
    _silent = True


def say(message: str) -> None:
    """Prints a status message."""
    global _last_message
    _last_message = time.monotonic()
    if not _quiet:
        stderr.print(message, soft_wrap=True)


def quoted(*words: object) -> str:
    """Returns words as a command line for the shell of the system; cmd.exe knows no single quotes."""
    texts = list(map(str, words))
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def silent_for() -> float:
    """Seconds since the last message."""
    return time.monotonic() - _last_message


def draws_bars() -> bool:
    """Whether bars are shown: not with ``--quiet``, in a notebook, or in a file, even one that gets colours."""
    return not _quiet and stderr.is_terminal and not stderr.is_dumb_terminal and stderr.file.isatty()


def warn(message: str) -> None:
    """Something that the user should know but that doesn't stop the work."""
    if _on_warning is not None:
        _on_warning(message)
    elif not _silent:
        stderr.print(f"Warning: {message}", style="yellow", soft_wrap=True)


@contextmanager
def warnings_to(function: Callable[[str], None]) -> Iterator[None]:
    """Give warnings to a function inside this context, rather than show them."""
    global _on_warning
    before, _on_warning = _on_warning, function
    try:
        yield
    finally:
        _on_warning = before


def show_error(error: UserError) -> None:
    """Shows an error in red, and its remedy."""
    stderr.print(f"Error: {error.message}", style="bold red", soft_wrap=True)
    if error.remedy:
        stderr.print(error.remedy, soft_wrap=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """A table on standard output: with a rule on a terminal, and in a pipe or file as aligned text of any width. The
    first column is text, the others are figures; ``title`` may be empty."""
    stdout = Screen()
    table = Table(box=box.SIMPLE_HEAD if stdout.is_terminal else None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    if title:
        stdout.print(f"\n{title}", style="bold")
    if not stdout.is_terminal:
        stdout.width = 100_000
    stdout.print(table)


class Bar:
    """A progress bar with a description that can change; silent where nobody watches."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: int = 1) -> None:
        self._progress.advance(self._task, amount)

    def counted(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items as they come, each an advance."""
        for item in items:
            yield item
            self.advance()

    def update(self, completed: float, description: str | None = None) -> None:
        self._progress.update(self._task, completed=completed, description=description)


class _CountColumn(ProgressColumn):
    """Shows a count whose total is not known; nothing while the count is 0."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f}" if task.completed else "")


@contextmanager
def progress_bar(description: str, total: float | None, visible: bool = True) -> Iterator[Bar]:
    """A bar with time spent and time left; in a narrow terminal the figures without the bar. See :func:`draws_bars`.

    A ``total`` below 10 is shown in percent; one that isn't known (None) as a spinner.
    """
    columns: list[str | ProgressColumn] = [SpinnerColumn(), "{task.description}"]
    roomy = stderr.width >= ROOMY
    if total is None:
        columns += [_CountColumn(), TimeElapsedColumn()]
    else:
        figures = MofNCompleteColumn() if total >= 10 else " {task.percentage:.0f} %"
        columns += [BarColumn(bar_width=24), figures, TimeElapsedColumn()] if roomy else [figures]
        columns += ["left", TimeRemainingColumn()]
    off = not (visible and draws_bars())
    with Progress(
        *columns, console=stderr, transient=True, disable=off, speed_estimate_period=SPEED_PERIOD
    ) as progress:
        yield Bar(progress, progress.add_task(description, total=total))
