r"""Writing files: under a temporary name, synced, and renamed when complete, so that a reader never sees half of one.

Temporary files are named ``.nmt-PID-MACHINE-RANDOM.tmp`` and lie beside the final name. The exception is output that a
stopped run can be resumed with: it is ``FILE.partial`` until it is complete (:class:`ResumableOutput`).
"""

import contextlib
import errno
import hashlib
import io
import os
import platform
import secrets
import shutil
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from nmt.core.compression import check_available, compressed, of_name
from nmt.core.errors import UserError

STANDARD_STREAM = "-"
"""The name that stands for standard input or standard output."""


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to disk: a rename must not come before the content.

    Raises:
        OSError: the disk is full or broken, which a buffered write doesn't report.
    """
    if os.name == "nt" and path.is_dir():  # Windows can't open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The SHA-256 sum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path for the block to create a file or a folder at; renamed to ``path`` when the block succeeds.

    Content is synced before the rename and the folder after it. A file replaces a file of that name and keeps its
    permissions; a folder can't replace a folder that isn't empty. If the block fails, nothing remains.

    Raises:
        UserError: the content can't be synced or renamed. Errors of the block itself pass as they are.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        with explained(path):
            for inner in sorted(temporary.rglob("*")):
                sync(inner)
            _rename(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def _rename(complete: Path, path: Path) -> None:
    sync(complete)
    if complete.is_file() and path.exists():
        shutil.copymode(path, complete)
    os.replace(complete, path)
    sync(path.parent)


def _temporary(path: Path) -> Path:
    """Returns a new temporary path beside ``path``; what killed processes of this machine left there is deleted."""
    for left in path.parent.glob(f".nmt-*-{_machine()}-*.tmp"):
        process = left.name.split("-")[1]
        if process.isdecimal() and not _is_alive(int(process)):
            _remove(left)
    return path.with_name(f".nmt-{os.getpid()}-{_machine()}-{secrets.token_hex(4)}.tmp")


@cache
def _machine() -> str:
    """Identifies the machine or container in which process ids are unique."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return f"{zlib.crc32(f'{platform.node()} {processes}'.encode()):08x}"


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # there, signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    """Delete a file or a folder. Failures are ignored."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_folder(path: Path) -> None:
    """Delete a folder that no reader may see half of: it loses its name first. Failures to delete are ignored."""
    temporary = _temporary(path)
    with contextlib.suppress(OSError):
        os.replace(path, temporary)
        _remove(temporary)


def remove_unfinished(folder: Path) -> None:
    """Delete what a killed process has left under a temporary name; only while no other process writes there."""
    for path in folder.glob(".nmt-*.tmp"):
        _remove(path)


def cannot_write(path: Path | str, error: Exception) -> UserError:
    """The message for a full disk, a folder that isn't writable and the like."""
    if getattr(error, "errno", None) in (errno.ENOTEMPTY, errno.EEXIST):
        return UserError(f"{path} exists already: another process has made it.", "Write somewhere else (-o).")
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(
        f"{path} can't be written: {reason.lower()}.",
        "Free some space, fix the permissions, or write somewhere else (-o).",
    )


@contextlib.contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turn a failure to write inside this context into a message that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a file's advisory lock; the system releases it when the process ends, however it ends.

    Args:
        path: made if it doesn't exist, and left there.
        what: how the message names the thing that is in use.

    Raises:
        UserError: another process holds the lock, or the file can't be made.
    """
    with explained(path):
        file = path.open("ab")
    with file:
        lock_file(file, what)
        yield


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock the name of a file that takes long to compute, so that two processes don't compute it at once.

    The lock is ``.NAME.lock`` beside the file and is deleted at the end.

    Raises:
        UserError: another process holds the lock, or the file can't be written.
    """
    if not check_target(path):  # a device or pipe
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    with locked(lock, str(path)):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows can't delete an open file
                lock.unlink()


def lock_file(file: IO[Any], what: str) -> None:
    """Lock an open file until it is closed; see :func:`locked`."""
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(what) from None


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Write under temporary names into a folder that other processes may write into at the same time.

    What killed processes have left is removed where no other process writes there.
    """
    try:
        import fcntl
    except ImportError:  # Windows: without locks nobody knows who writes
        yield
        return
    with (folder / ".lock").open("ab") as file:
        with contextlib.suppress(OSError):  # others hold it, or the file system has no locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_unfinished(folder)
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _in_use(what: str) -> UserError:
    remedy = "Wait until it has ended, or write somewhere else."
    return UserError(f"{what} is being written by another process.", remedy)


# Streams of text


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


def check_target(target: Path) -> bool:
    """Refuse what can't be written before any work is done; False for a device or pipe.

    Raises:
        UserError: there is no such folder, the name is that of a folder, the file is read-only, or the package that
            compresses it is missing.
    """
    check_available(target)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if target.parent.is_dir():
            return True
        raise UserError(
            f"{target} can't be written: there is no folder {target.parent}.",
            f"Create it with `mkdir -p {target.parent}`.",
        ) from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{target} can't be written: it is a folder.", "Name a file in it.")
    if not os.access(target, os.W_OK):
        raise UserError(f"{target} can't be written: it is read-only.", "Remove it or name another file.")
    return stat.S_ISREG(mode)


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
                    _rename(self.partial, self._final)
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
        with (
            replacing(self._final) as temporary,
            partial.open("rb") as plain,
            temporary.open("wb") as file,
            compressed(file, self._path) as packed,
        ):
            shutil.copyfileobj(plain, packed, 1 << 20)

    def _open_partial(self, partial: Path, resume: bool) -> BinaryIO:
        with explained(partial), contextlib.ExitStack() as undo:
            file = undo.enter_context(partial.open("r+b" if partial.exists() else "xb"))
            lock_file(file, str(partial))
            if not (partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat())):
                raise _in_use(str(partial))  # it was complete and got its name between opening and locking
            if not resume and (num_lines := self.num_lines):
                raise UserError(
                    f"{partial} holds {num_lines:,} lines of a run that was stopped.",
                    "Give --resume to continue after them, or delete the file to start again.",
                )
            file.seek(sum(map(len, self._raw_lines())))
            file.truncate()  # an incomplete last line
            undo.pop_all()
            return file
