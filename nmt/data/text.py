r"""Lines of text in and out: what every command does to a file happens here, the same way.

A line ends at ``\n`` and nowhere else, so line numbers agree with ``wc -l`` and with the other side of a
parallel text, whatever characters (``\x0b``, U+0085, U+2028 …) the lines hold.
"""

import contextlib
import difflib
import gzip
import io
import os
import secrets
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from nmt.errors import UserError

STANDARD_STREAM = "-"

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_lines(path: Path | str, keep_invalid: bool = False) -> Iterator[str]:
    r"""Streams the lines of a UTF-8 file, plain or gzip (told by its first bytes), without their line ends.

    Only ``\n`` or ``\r\n`` at the end of a line and a byte-order mark at the start of the text are taken
    off. The file is opened when the first line is asked for, and memory holds one line at a time.

    Args:
        path: the file, or ``"-"`` for standard input.
        keep_invalid: give bytes that aren't UTF-8 as lone surrogates (U+DC80 to U+DCFF) rather than refuse them.

    Raises:
        UserError: the file is missing, unreadable, a truncated or damaged gzip file, or not UTF-8.
    """
    label = describe(path)
    line_number = 0
    try:
        with _open_binary(path) as stream:
            for raw in stream:
                line_number += 1
                if line_number == 1:
                    raw = raw.removeprefix(_UTF8_MARK)
                    if not raw:  # a file that holds a byte-order mark and nothing else
                        return
                yield _decode(raw, label, line_number, "surrogateescape" if keep_invalid else "strict")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{label} is a truncated or damaged gzip file, readable up to line {line_number:,}: {error}.",
            "Copy or download the file again; `gzip -t` checks it.",
        ) from error
    except OSError as error:
        raise _cannot_read(path, error) from error


@contextlib.contextmanager
def open_output(path: Path | str) -> Iterator[TextIO]:
    r"""A stream for text to be written as UTF-8 with ``\n`` line ends.

    A file appears under its name only when the block ends without an error; until then it has a temporary
    name in the same folder. What is not a plain file (``/dev/null``, a named pipe) is written directly. A
    reader that closes its end of the pipe early raises ``BrokenPipeError`` as usual.

    Args:
        path: the file, or ``"-"`` for standard output.

    Raises:
        UserError: the file or its folder can't be written, or the disk is full.
    """
    with _standard_output() if str(path) == STANDARD_STREAM else _output_file(path) as stream:
        yield stream


def describe(path: Path | str) -> str:
    """How messages name a file: its path, or that it is standard input."""
    return "standard input" if str(path) == STANDARD_STREAM else str(path)


# reading


@contextlib.contextmanager
def _open_binary(path: Path | str) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        if str(path) == STANDARD_STREAM:
            stream = stack.enter_context(_standard_input())
        else:
            stream = stack.enter_context(open(path, "rb"))
        if stream.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
            # GzipFile alone reads slowly by lines
            yield cast(BinaryIO, stack.enter_context(io.BufferedReader(gzip.GzipFile(fileobj=stream))))
        else:
            yield stream


@contextlib.contextmanager
def _standard_input() -> Iterator[io.BufferedReader]:
    raw = getattr(sys.stdin, "buffer", None)
    if raw is None:
        raise UserError("Standard input can't be read: it is closed.", "Name an input file instead of '-'.")
    if isinstance(raw, io.BufferedReader):
        yield raw
        return
    # tests and notebooks put other streams in its place
    stream = io.BufferedReader(raw)
    try:
        yield stream
    finally:
        stream.detach()


def _decode(raw: bytes, label: str, line_number: int, errors: str) -> str:
    if raw.endswith(b"\n"):
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    try:
        return raw.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        is_utf16 = line_number == 1 and raw.startswith(_UTF16_MARKS)
        encoding = "UTF-16" if is_utf16 else "LATIN1"
        raise UserError(
            f"{label}, line {line_number:,}: not UTF-8 (byte {error.start + 1:,} of the line is "
            f"0x{raw[error.start]:02x}).",
            f"Convert the text, for example with `iconv -f {encoding} -t UTF-8`"
            + ("." if is_utf16 else ", naming the encoding that it really has."),
        ) from error


def _cannot_read(path: Path | str, error: OSError) -> UserError:
    label = describe(path)
    if isinstance(error, FileNotFoundError):
        return UserError(f"File not found: {label}.", _nearest_name(Path(path)))
    if isinstance(error, IsADirectoryError):
        return UserError(f"{label} is a folder, not a file.", "Name a file in it.")
    if isinstance(error, PermissionError):
        return UserError(f"No permission to read {label}.", "Change its permissions, or copy it.")
    return UserError(f"{label} can't be read: {error.strerror or error}.", "Check the path and the disk.")


def _nearest_name(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"There is no folder {path.parent} either; check the path."
    # val.en is no misspelling of val.de
    names = [name for name in names if Path(name).suffix == path.suffix or name == f"{path.name}.gz"]
    nearest = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.parent / nearest[0]}?" if nearest else "Check the path."


# writing


class _Output(io.TextIOWrapper):
    """A UTF-8 text stream whose failures to write are errors for the user, wherever they surface."""

    def __init__(self, buffer: BinaryIO, label: str, line_buffering: bool = False) -> None:
        super().__init__(buffer, encoding="utf-8", newline="\n", line_buffering=line_buffering)
        self._label = label

    def write(self, text: str) -> int:
        with _explained(self._label):
            return super().write(text)

    def flush(self) -> None:
        with _explained(self._label):
            super().flush()


@contextlib.contextmanager
def _explained(label: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(label, error) from error


@contextlib.contextmanager
def _standard_output() -> Iterator[TextIO]:
    if sys.stdout is None:
        raise UserError("Standard output is closed.", "Name a file to write to with -o.")
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # a notebook's stream takes text only
        yield sys.stdout
        return
    sys.stdout.flush()
    stream = _Output(buffer, "standard output", line_buffering=sys.stdout.isatty())
    try:
        yield stream
        stream.flush()
    finally:
        # without detaching, the end of `stream` would close standard output
        with contextlib.suppress(OSError, UserError):
            stream.detach()


@contextlib.contextmanager
def _output_file(path: Path | str) -> Iterator[TextIO]:
    label = str(path)
    with _explained(label):
        is_plain = _check_target(Path(path), label)
        target = Path(os.path.realpath(path)) if is_plain else Path(path)  # a link stays a link
        name = f".nmt-{os.getpid()}-{secrets.token_hex(4)}.tmp" if is_plain else target.name
        written = target.with_name(name)
        stream = _Output(written.open("xb" if is_plain else "wb"), label)
    try:
        yield stream
        with _explained(label):
            stream.close()
            if is_plain:
                if target.exists():
                    shutil.copymode(target, written)
                os.replace(written, target)
    except BaseException:
        with contextlib.suppress(OSError, UserError):
            stream.close()
        with contextlib.suppress(OSError):
            if is_plain:
                written.unlink()
        raise


def _check_target(target: Path, label: str) -> bool:
    """Refuses what can't be written before any work is done; False for a device or pipe."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if target.parent.is_dir():
            return True
        raise UserError(
            f"{label} can't be written: there is no folder {target.parent}.",
            f"Create it with `mkdir -p {target.parent}`.",
        ) from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{label} can't be written: it is a folder.", "Name a file in it.")
    if not os.access(target, os.W_OK):
        raise UserError(f"{label} can't be written: it is read-only.", "Remove it or name another file.")
    return stat.S_ISREG(mode)


def _cannot_write(label: str, error: OSError) -> UserError:
    return UserError(
        f"{label} can't be written: {(error.strerror or str(error)).lower()}.",
        "Make room or fix the permissions, or write somewhere else.",
    )
