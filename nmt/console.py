"""What people see while something runs: messages, bars and tables. All of it goes to stderr but results."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from nmt.errors import UserError

stderr = Console(stderr=True, highlight=False)
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence messages and bars; errors and results are still shown."""
    global _quiet
    _quiet = quiet


def say(message: str) -> None:
    """One line of news for a person."""
    if not _quiet:
        stderr.print(message, markup=False, soft_wrap=True)


def warn(message: str) -> None:
    """Something that the user should know but that doesn't stop the work."""
    stderr.print(f"Warning: {message}", style="yellow", markup=False, soft_wrap=True)


def show_error(error: UserError) -> None:
    """What is wrong in red, and what to do about it."""
    stderr.print(f"Error: {error.message}", style="bold red", markup=False, soft_wrap=True)
    if error.remedy:
        stderr.print(error.remedy, markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is text and whose others are figures."""
    made = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        made.add_row(*row)
    return made


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A result on standard output: :func:`table` on a terminal, and plain aligned text in a pipe or file."""
    stdout = Console(highlight=False)
    if stdout.is_terminal:
        stdout.print(table(title, columns, [[escape(cell) for cell in row] for row in rows]))
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [title] if title else []
    for row in (columns, *rows):
        figures = "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append(f"{row[0]:{widths[0]}}{figures}".rstrip())
    stdout.print("\n".join(lines), markup=False, soft_wrap=True)


class Bar:
    """A progress bar with a description that can change; silent where nobody watches."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: int = 1) -> None:
        self._progress.advance(self._task, amount)

    def update(self, completed: float, description: str | None = None) -> None:
        self._progress.update(self._task, completed=completed, description=description)


@contextmanager
def progress_bar(description: str, total: float | None, visible: bool = True) -> Iterator[Bar]:
    """A bar with time spent and time left. Off for ``--quiet`` and where stderr isn't a terminal.

    Args:
        description: what is going on.
        total: how much there is to do; None where nobody knows, which shows a spinner.
        visible: False hides it all the same.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn() if total is None or total >= 10 else TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    off = _quiet or not visible or not stderr.is_terminal
    with Progress(*columns, console=stderr, transient=True, disable=off) as progress:
        yield Bar(progress, progress.add_task(description, total=total))
