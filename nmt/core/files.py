r"""Writing files: under a temporary name, synced, and renamed when complete, so that a reader never sees half of one.

Temporary files are named ``.nmt-PID-MACHINE-RANDOM.tmp`` and lie beside the final name. The exception is output that a
stopped run can be resumed with: :class:`nmt.jobs.run.ResumableOutput`.
"""

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import shutil
import stat
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from nmt.core.compression import check_available
from nmt.core.errors import UserError

WRITE_AGAIN = "Free some space, fix the permissions, or write somewhere else (-o)."


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to disk: a rename must not come before the content.
    Raises OSError if the disk is full or broken, which a buffered write doesn't report."""
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
def replacing(path: Path, remedy: str = WRITE_AGAIN) -> Iterator[Path]:
    """A temporary path for the block to create a file or a folder at; renamed to ``path`` when the block succeeds.

    Content is synced before the rename and the folder after it. A file replaces a file of that name and keeps its
    permissions; a folder can't replace a folder that isn't empty. If the block fails, nothing remains. Raises UserError
    if the content can't be synced or renamed. Errors of the block itself pass as they are.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        with explained(path, remedy):
            for inner in sorted(temporary.rglob("*")):
                sync(inner)
            rename(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def rename(complete: Path, path: Path) -> None:
    sync(complete)
    if complete.is_file() and path.exists():
        shutil.copymode(path, complete)
    move(complete, path)
    sync(path.parent)


def move(path: Path, target: Path) -> None:
    """``os.replace``, repeated on Windows while a virus scanner or an indexer reads what is moved."""
    waits = [0.1, 0.5, 2.0, 5.0] if os.name == "nt" else []
    while True:
        try:
            os.replace(path, target)
            return
        except PermissionError:
            if not waits:
                raise
            time.sleep(waits.pop(0))


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
        with contextlib.suppress(PermissionError):  # it belongs to another user
            os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _remove(path: Path) -> None:
    """Delete a file or a folder. Failures are ignored."""
    shutil.rmtree(path, ignore_errors=True)  # which leaves a file
    with contextlib.suppress(OSError):
        path.unlink()


def remove_folder(path: Path) -> None:
    """Delete a folder that no reader may see half of: it loses its name first. Failures to delete are ignored."""
    temporary = _temporary(path)
    with contextlib.suppress(OSError):
        move(path, temporary)
        _remove(temporary)


def remove_unfinished(folder: Path) -> None:
    """Delete what a killed process has left under a temporary name; only while no other process writes there."""
    for path in folder.glob(".nmt-*.tmp"):
        _remove(path)


def cannot_write(path: Path | str, error: Exception, remedy: str = WRITE_AGAIN) -> UserError:
    """The message for a full disk, a folder that isn't writable and the like."""
    if getattr(error, "errno", None) in (errno.ENOTEMPTY, errno.EEXIST):
        return UserError(f"{path} exists already.", "Write somewhere else (-o).")
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"{path} can't be written: {reason.lower()}.", remedy)


@contextlib.contextmanager
def explained(path: Path | str, remedy: str = WRITE_AGAIN) -> Iterator[None]:
    """Turn a failure to write inside this context into a message that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(path, error, remedy) from error


def check_target(target: Path, *inputs: Path | str) -> bool:
    """Refuse what can't be written before any work is done; False for a device or pipe. Raises UserError if there is no
    such folder, the name is that of a folder or of one of the ``inputs``, the file is read-only, or the package that
    compresses it is missing."""
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
    except OSError as error:
        raise cannot_write(target, error) from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{target} can't be written: it is a folder.", "Name a file in it.")
    if stat.S_ISREG(mode) and any(os.path.isfile(each) and target.samefile(each) for each in inputs):
        raise UserError(f"{target} can't be written: it is an input, which would be lost.", "Name another file.")
    if not os.access(target, os.W_OK):
        raise UserError(f"{target} can't be written: it is read-only.", "Remove it or name another file.")
    return stat.S_ISREG(mode)


@contextlib.contextmanager
def complete(path: Path, *inputs: Path | str) -> Iterator[Path]:
    """A path for the block to write a file at, which appears under its name when the block succeeds.

    What is not a plain file (``/dev/null``, a named pipe) is written directly, and a link stays a link.

    Raises:
        UserError: as :func:`check_target` and :func:`replacing`.
    """
    if check_target(path, *inputs):
        with replacing(Path(os.path.realpath(path))) as temporary:
            yield temporary
    else:
        yield path


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
    with file, _locked_on_windows(file, what):
        lock_file(file, what)
        yield


@contextlib.contextmanager
def _locked_on_windows(file: IO[Any], what: str) -> Iterator[None]:
    """Locks the first byte, which nobody else can then read: not for files with content."""
    lock: Any = None  # the module's functions are not declared on other systems
    with contextlib.suppress(ImportError):  # a yield in an except clause would add this error to later tracebacks
        import msvcrt as lock
    if lock is None:
        yield
        return
    try:
        lock.locking(file.fileno(), lock.LK_NBLCK, 1)
    except PermissionError:
        raise in_use(what) from None
    try:
        yield
    finally:
        lock.locking(file.fileno(), lock.LK_UNLCK, 1)


def lock_file(file: IO[Any], what: str) -> None:
    """Lock an open file with content until it is closed, where the system has advisory locks; see :func:`locked`."""
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise in_use(what) from None


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


def in_use(what: str) -> UserError:
    return UserError(f"{what} is being written by another process.", "Wait until it has ended, or write elsewhere.")


def check_unused(folder: Path) -> None:
    """Raises UserError unless a folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already.", "Name a new folder with -o, or delete it.")


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder that gets the name ``folder`` when the block ends without an error. Raises UserError if
    it can't be written, or the disk is full."""
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as temporary:
            temporary.mkdir()
            yield temporary
