"""Text output: complete files, ``FILE.partial`` of runs that can be resumed, compressed files, and standard output."""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from nmt.core.compression import compressed, of_name
from nmt.core.errors import UserError
from nmt.core.files import check_target, explained, in_use, lock_file, rename, replacing

STANDARD_STREAM = "-"
"""The name that stands for standard input or standard output."""


class Output(io.TextIOWrapper):
    """A UTF-8 text stream whose failures to write are user errors, wherever they surface."""

    def __init__(self, buffer: BinaryIO, label: str, line_buffering: bool = False) -> None:
        super().__init__(buffer, encoding="utf-8", newline="\n", line_buffering=line_buffering)
        self._label = label

    def write(self, text: str) -> int:
        with explained(self._label):
            return super().write(text)

    def flush(self) -> None:
        with explained(self._label):
            super().flush()


@contextlib.contextmanager
def open_output(path: Path | str) -> Iterator[TextIO]:
    r"""A stream for text to be written as UTF-8 with ``\n`` line ends.

    A file appears under its name only when the block ends without an error (:func:`replacing`), compressed if the name
    ends in ``.gz``, ``.xz`` or ``.zst``. What is not a plain file (``/dev/null``, a named pipe) is written directly. A
    reader that closes its end of the pipe early raises ``BrokenPipeError`` as usual.

    Args:
        path: the file, or ``"-"`` for standard output.

    Raises:
        UserError: the file or its folder can't be written, or the disk is full.
    """
    if str(path) == STANDARD_STREAM:
        with _standard_output() as stream:
            yield stream
        return
    with explained(path):
        is_plain = check_target(Path(path))
    if is_plain:
        with replacing(Path(os.path.realpath(path))) as temporary, text_file(temporary, path) as stream:
            yield stream
    else:
        with text_file(Path(path), path) as stream:
            yield stream


@contextlib.contextmanager
def text_file(path: Path, name: Path | str) -> Iterator[TextIO]:
    """A file of text, compressed if the name that it will have asks for it."""
    streams: list[BinaryIO | TextIO] = []
    try:
        with explained(name):
            streams.append(file := path.open("wb"))
            streams.append(stream := Output(compressed(file, name), str(name)))
        yield stream
        with explained(name):
            stream.close()
            file.close()
    finally:
        for opened in reversed(streams):
            with contextlib.suppress(OSError, UserError):
                opened.close()


@contextlib.contextmanager
def binary_file(path: Path, name: Path | str) -> Iterator[BinaryIO]:
    """A file of bytes that appears when the block ends, compressed if ``name`` asks for it."""
    with replacing(path) as temporary, temporary.open("wb") as file, compressed(file, name) as packed:
        yield packed


@contextlib.contextmanager
def _standard_output() -> Iterator[TextIO]:
    if sys.stdout is None:
        raise UserError("Standard output is closed.", "Name a file to write to with -o.")
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # a notebook's stream takes text only
        yield sys.stdout
        return
    sys.stdout.flush()
    stream = Output(buffer, "standard output", line_buffering=sys.stdout.isatty())
    try:
        yield stream
        stream.flush()
    finally:
        # without detaching, the end of `stream` would close standard output
        with contextlib.suppress(OSError, UserError):
            stream.detach()


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
        """Where the lines are until the file is complete; None for what can't be resumed."""
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
        if self.partial is None or not self.partial.exists():
            return
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
        with binary_file(self._final, self._path) as packed, partial.open("rb") as plain:
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
            file.seek(sum(map(len, self._raw_lines())))
            file.truncate()  # an incomplete last line
            undo.pop_all()
            return file
