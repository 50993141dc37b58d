r"""Lines of text in and out: what every command does to a file happens here, the same way.

A line ends at ``\n`` and nowhere else, so line numbers agree with ``wc -l`` and with the other side of a
parallel text, whatever characters (``\x0b``, U+0085, U+2028 …) the lines hold.
"""

import contextlib
import difflib
import io
import os
import re
import select
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nmt.core.compression import MAGIC_BYTES, SUFFIXES, DamagedError, TooCompressedError, of_content
from nmt.core.errors import UserError
from nmt.core.limits import limit
from nmt.core.output import STANDARD_STREAM

LineT = TypeVar("LineT")

MAX_RECORD_BYTES = 1 << 24  # longest line of a file that isn't text, such as JSON with many candidates or a vector

_PAUSE = 0.01
"""Seconds without input after which a live writer is thought to wait for us; ``cat`` never rests so long."""
_LONGEST_WAIT = 0.5  # seconds after which the first line of a window needn't wait any longer for others

INVISIBLE = dict.fromkeys((0xAD, 0x2060, 0xFEFF))
"""Soft hyphens, word joiners and byte order marks, for ``str.translate``: a vocabulary would divide words there."""

UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai, Lao, Burmese, Khmer, Chinese and Japanese, which have no spaces between words: a class of characters."""
WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")  # where lengths are compared, a character of those is a word

_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_BZIP2 = tuple(b"BZh%d1AY&SY" % level for level in range(1, 10))
_NO_TEXT = (b"PK\3\4", b"7z\xbc\xaf\x27\x1c", b"%PDF-", b"\xd0\xcf\x11\xe0", b"\xde\x12\x04\x95", *_BZIP2)


class Lines(Iterator[str]):
    r"""The lines of a UTF-8 file, plain or compressed (told by its first bytes), without their line ends.

    Only ``\n`` or ``\r\n`` at the end of a line and a byte-order mark at the start of the text are taken
    off. The file is opened when the first line is asked for, and memory holds one line at a time.

    Args:
        path: the file, or ``"-"`` for standard input.
        keep_invalid: give bytes that aren't UTF-8 as lone surrogates (U+DC80 to U+DCFF) rather than refuse them.
        max_bytes: longest line that is accepted; None for that of :data:`nmt.core.limits.LIMITS`.

    Raises:
        UserError: the file is missing, unreadable, compressed and damaged, or not UTF-8; a line is too long; or a
            small compressed file expands beyond :data:`nmt.core.limits.LIMITS`.
    """

    def __init__(self, path: Path | str, keep_invalid: bool = False, max_bytes: int | None = None) -> None:
        self._stream: io.BufferedReader | None = None
        self._max_bytes = max_bytes or limit("NMT_MAX_LINE_BYTES")
        self._errors = "surrogateescape" if keep_invalid else "strict"
        self._decoded = self._read(path)

    def __next__(self) -> str:
        return next(self._decoded)

    def pauses(self, seconds: float) -> bool:
        """Whether more comes, but not within this number of seconds; never with a file, which is there as a whole."""
        if self._stream is None or not isinstance(pipe := self._stream.raw, _Pipe):
            return False
        pipe.timeout = seconds
        beginning = self._stream.peek()
        pipe.timeout = None
        return b"\n" not in beginning and not pipe.is_ready(seconds)

    def _read(self, path: Path | str) -> Iterator[str]:
        label = describe(path)
        line_number = 0
        try:
            with _open_binary(path) as self._stream:
                raw_lines = iter(partial(self._stream.readline, self._max_bytes + 3), b"")
                for line_number, raw in enumerate(raw_lines, start=1):
                    if line_number == 1 and raw.startswith(_NO_TEXT):
                        remedy = f"Unpack it, or save it as text or .csv, also compressed: {', '.join(SUFFIXES)}."
                        raise UserError(f"{label} is an archive, office file, PDF or .mo file, not text.", remedy)
                    if len(raw) > self._max_bytes and len(raw.rstrip(b"\r\n")) > self._max_bytes:
                        raise UserError(
                            f"{label}, line {line_number:,}: longer than {self._max_bytes:,} bytes.",
                            "Write a sentence on each line, or set NMT_MAX_LINE_BYTES to a higher limit.",
                        )
                    if line_number == 1:
                        raw = raw.removeprefix(_UTF8_MARK)
                        if not raw:  # a file that holds a byte-order mark and nothing else
                            return
                    yield _decode(raw, label, line_number, self._errors)
        except DamagedError as error:
            name, program = error.compression.name, error.compression.program
            raise UserError(
                f"{label} is a truncated or damaged {name} file, readable up to line {line_number:,}: {error}.",
                f"Copy or download the file again; `{program}` checks it.",
            ) from error
        except TooCompressedError:
            raise UserError(
                f"{label} expands to far more bytes or lines than text does, after line {line_number:,}.",
                "If you trust the file, decompress it first or set NMT_MAX_COMPRESSION_RATIO to a higher limit.",
            ) from None
        except OSError as error:
            raise _cannot_read(path, error) from error


class _Pipe(io.RawIOBase):
    """A pipe or terminal; a read gives nothing where nothing comes for ``timeout`` seconds (None: it waits)."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.timeout: float | None = None

    def readable(self) -> bool:
        return True

    def is_ready(self, timeout: float | None) -> bool:
        return bool(select.select([self._descriptor], [], [], timeout)[0])

    def readinto(self, buffer: Any, /) -> int | None:
        while self.is_ready(self.timeout):
            with contextlib.suppress(BlockingIOError):  # another reader of the same pipe was faster
                chunk = os.read(self._descriptor, len(buffer))
                buffer[: len(chunk)] = chunk
                return len(chunk)
        return None


read_lines = Lines


def in_windows(lines: Iterable[LineT], size: int) -> Iterator[list[LineT]]:
    """Yields lists of ``size`` lines, or of what stands for lines; the last one has the rest.

    Where :class:`Lines` come from a pipe or a terminal, a list ends early when the writer pauses, so that one who
    waits for an answer gets it, while ``cat`` gives full lists. Lines that are read before an error are given out
    before it is raised.
    """
    iterator = iter(lines)
    window: list[LineT] = []
    try:
        for line in iterator:
            if not window:
                deadline = time.monotonic() + _LONGEST_WAIT
            window.append(line)
            is_full = len(window) == size
            if is_full or (isinstance(iterator, Lines) and (iterator.pauses(_PAUSE) or time.monotonic() > deadline)):
                yield window
                window = []
    except UserError:
        if window:
            yield window
        raise
    if window:
        yield window


def read_bytes(path: Path | str, limit: int = -1) -> bytes:
    """Returns the content of a file, or of standard input (``"-"``), decompressed; with a limit its first bytes. Raises
    UserError if the file is missing, unreadable, or compressed and damaged."""
    try:
        with _open_binary(path) as stream:
            return stream.read(limit)
    except OSError as error:
        raise _cannot_read(path, error) from error
    except (DamagedError, TooCompressedError) as error:
        raise UserError(f"{describe(path)} can't be decompressed: {error}.", "Copy the file again.") from error


def describe(path: Path | str) -> str:
    """Returns the name of a file in messages: its path, or standard input."""
    return "standard input" if str(path) == STANDARD_STREAM else str(path)


def check_standard_input(*paths: Path | str) -> None:
    """Raises UserError if more than one of the files is standard input, which has only one text."""
    if list(map(str, paths)).count(STANDARD_STREAM) > 1:
        raise UserError("Only one side can come from standard input.", "Name a file for the other.")


def count_lines(path: Path | str) -> int | None:
    """The number of lines of a plain file, without moving in it; None for what can be read only once, or is packed."""
    with contextlib.ExitStack() as stack:
        try:
            is_standard = str(path) == STANDARD_STREAM
            descriptor = sys.stdin.fileno() if is_standard else stack.enter_context(open(path, "rb")).fileno()
            position, num_lines, last = os.lseek(descriptor, 0, os.SEEK_CUR), 0, b"\n"
            if not stat.S_ISREG(os.fstat(descriptor).st_mode) or of_content(
                os.pread(descriptor, MAGIC_BYTES, position)
            ):
                return None
            while chunk := os.pread(descriptor, 1 << 20, position):
                num_lines, position, last = num_lines + chunk.count(b"\n"), position + len(chunk), chunk[-1:]
        except (OSError, AttributeError, ValueError):  # whoever reads it says what is wrong
            return None
    return num_lines + (last != b"\n")


@contextlib.contextmanager
def _open_binary(path: Path | str) -> Iterator[io.BufferedReader]:
    with contextlib.ExitStack() as stack:
        is_standard = str(path) == STANDARD_STREAM
        stream = stack.enter_context(_standard_input() if is_standard else open(path, "rb"))  # noqa: SIM115
        try:
            mode = os.fstat(stream.fileno()).st_mode
        except OSError:  # a stream of tests and notebooks has no descriptor
            mode = stat.S_IFREG
        if stat.S_ISCHR(mode) and not (is_standard or stream.isatty() or str(path) == os.devnull):
            raise UserError(f"{path} is a device, not a file.", "Name a text file.")
        if os.name == "posix" and not stat.S_ISREG(mode):
            stream = stack.enter_context(io.BufferedReader(_Pipe(stream.fileno())))
        if compression := of_content(stream.peek(MAGIC_BYTES)):
            stream = stack.enter_context(compression.reader(stream))
        yield stream


@contextlib.contextmanager
def _standard_input() -> Iterator[io.BufferedReader]:
    raw = getattr(sys.stdin, "buffer", None)
    if raw is None:
        raise UserError("Standard input can't be read: it is closed.", "Name an input file instead of '-'.")
    stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # of tests and notebooks
    try:
        yield stream
    finally:
        if stream is not raw:
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
            f"Save the text as UTF-8 in an editor, or convert it, for example with `iconv -f {encoding} -t UTF-8`"
            + ("." if is_utf16 else ", with its real encoding. If other lines are UTF-8, repair this one alone."),
        ) from error


def _cannot_read(path: Path | str, error: OSError) -> UserError:
    label = describe(path)
    if isinstance(error, FileNotFoundError):
        return UserError(f"File not found: {label}.", _nearest_name(Path(path)))
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):  # Windows refuses to open one for its permissions
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
    names = [name for name in names if Path(name).suffix == path.suffix or name.removeprefix(path.name) in SUFFIXES]
    nearest = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.parent / nearest[0]}?" if nearest else "Check the path."
