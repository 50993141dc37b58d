"""Output that survives a stop as ``FILE.partial``, so that the work can go on from there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from nmt.data.text import STANDARD_STREAM, Output, check_target, explained, open_output, publish
from nmt.errors import UserError


class ResumableOutput:
    """A file that is ``FILE.partial`` until it is complete; standard output and devices are written as they are.

    Args:
        path: the file, or ``"-"`` for standard output.

    Raises:
        UserError: the file or its folder can't be written.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self.partial: Path | None = None
        """Where the lines are until the file is complete; None for what can't be resumed."""
        if str(path) != STANDARD_STREAM and check_target(Path(path), str(path)):
            self._final = Path(os.path.realpath(path))  # a link stays a link
            self.partial = self._final.with_name(f"{self._final.name}.partial")

    def lines(self) -> Iterator[str]:
        r"""The complete lines that an earlier run has left, without their ``\n``."""
        return (line[:-1].decode("utf-8", "replace") for line in self._raw_lines())

    @property
    def num_lines(self) -> int:
        return sum(1 for _ in self._raw_lines())

    def _raw_lines(self) -> Iterator[bytes]:
        if self.partial is None or not self.partial.exists():
            return
        with explained(str(self.partial)), self.partial.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[TextIO]:
        """A stream to write to; the file gets its name when the block ends without an error.

        Args:
            resume: append to the complete lines of an earlier run; without it there must be none.

        Raises:
            UserError: another process writes it, there is an earlier run's work, or nothing that can be resumed.
        """
        if self.partial is None:
            if resume:
                raise UserError("--resume needs a file that can be half-written.", "Name one with -o.")
            with open_output(self._path) as stream:
                yield stream
            return
        output = Output(self._open_partial(self.partial, resume), str(self.partial))
        try:
            yield output
            output.flush()
            with explained(str(self._path)):
                publish(self.partial, self._final)
        finally:
            with contextlib.suppress(OSError, UserError):
                output.close()
            with contextlib.suppress(OSError):
                if self.partial.stat().st_size == 0:
                    self.partial.unlink()

    def _open_partial(self, partial: Path, resume: bool) -> BinaryIO:
        with explained(str(partial)), contextlib.ExitStack() as undo:
            file = undo.enter_context(partial.open("r+b" if partial.exists() else "xb"))
            _lock(file, partial)
            if not resume and (num_lines := self.num_lines):
                raise UserError(
                    f"{partial} holds {num_lines:,} lines of a run that was stopped.",
                    "Give --resume to go on after them, or delete the file to start anew.",
                )
            file.seek(sum(map(len, self._raw_lines())))
            file.truncate()  # half a line
            undo.pop_all()
            return file


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep a second process from writing into the same file; held until the file is closed."""
    try:
        import fcntl
    except ImportError:  # Windows lets nobody else open it anyway
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{path} is being written by another process.", "Wait for it, or name another file.") from None
