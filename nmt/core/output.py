"""Text output: complete files, compressed files, and standard output."""

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from nmt.core.compression import compressed
from nmt.core.errors import UserError
from nmt.core.files import complete, explained

STANDARD_STREAM = "-"  # the name that stands for standard input or standard output


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
def open_output(path: Path | str, *inputs: Path | str) -> Iterator[TextIO]:
    r"""A stream for text to be written as UTF-8 with ``\n`` line ends.

    A file appears under its name only when the block ends without an error (:func:`nmt.core.files.complete`),
    compressed if the name ends in ``.gz``, ``.xz`` or ``.zst``. A reader that closes its end of the pipe early raises
    ``BrokenPipeError`` as usual. The path ``"-"`` is standard output. Raises UserError if the file is one of the
    ``inputs``, it or its folder can't be written, or the disk is full.
    """
    if str(path) == STANDARD_STREAM:
        with _standard_output() as stream:
            yield stream
        return
    with complete(Path(path), *inputs) as place, text_file(place, path) as stream:
        yield stream


def write_output(path: Path | str, text: str | Iterable[str]) -> None:
    """Writes a whole text, or its parts one after another; see :func:`open_output`."""
    with open_output(path) as stream:
        stream.writelines([text] if isinstance(text, str) else text)


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
def binary_file(path: Path | str) -> Iterator[BinaryIO]:
    """A file of bytes, otherwise as :func:`open_output`, whose failures to write raise ``OSError``."""
    with complete(Path(path)) as place, place.open("wb") as file, compressed(file, path) as packed:
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
