"""The program: runs the command line and turns errors into messages and exit codes."""

import contextlib
import errno
import io
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def main() -> None:
    """Entry point. Exit codes: 0 done, 2 bad usage or bad input, 130 Ctrl-C, 143 SIGTERM."""
    # OpenMP's threads wait for each other by spinning; beside other busy processes that makes two threads many times
    # slower than one. Without spinning, recurrent networks lose a fifth of their speed on an idle machine. So they spin
    # for a short time (docs/lab-notes/2026-11-20-speed.md). It must be set before PyTorch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # PyTorch's warnings in C++ show stacks of the machine that it was built on; what matters is in our messages.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    _prepare_standard_streams()
    interrupts: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # it isn't if the program was started to ignore Ctrl-C
        signal.signal(signal.SIGINT, interrupt)
    try:
        _run()
    except Exception:
        if not interrupts:
            raise
        sys.exit(128 + signal.SIGINT)  # an extension module that was being imported turns Ctrl-C into another error
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def _run() -> None:
    from nmt.core.errors import UserError

    try:
        from nmt.cli import app

        app(prog_name="nmt")  # completion and help depend on it, also for `python -m nmt`
    except UserError as error:
        from nmt.core.console import show_error

        show_error(error)
        sys.exit(2)
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # typer has caught it
            _leave_broken_pipe()
        raise
    except BrokenPipeError:
        _leave_broken_pipe()
    except OSError as error:
        from nmt.core.console import show_error
        from nmt.core.files import cannot_write

        if error.errno in _NOT_WRITABLE:
            show_error(cannot_write(error.filename or "The output", error))
            if not error.filename:
                _discard_output()
        elif error.errno in (errno.EMFILE, errno.ENFILE):
            show_error(UserError("The system allows no more open files.", "Raise the limit by `ulimit -n 4096`."))
        else:
            raise
        sys.exit(2)


_NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP}
"""Errors of the system that any write may meet, even to standard output: they concern the user, not the program."""


class _Messages(io.FileIO):
    """Standard error. Errors of a full disk are ignored, so that the exit code is that of the work."""

    def __init__(self, replaced: TextIO) -> None:
        super().__init__(2, "w", closefd=False)
        self._replaced = replaced  # the end of which would close the file

    def write(self, content: "ReadableBuffer", /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            return len(memoryview(content).cast("B"))


def _prepare_standard_streams() -> None:
    """Standard output and error are UTF-8, as all files are, unless they are a terminal, which has its own encoding."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or a stream that is no file
        if not sys.stdout.isatty():
            errors = sys.stdout.errors  # names of files that aren't UTF-8 pass in the C locale
            sys.stdout.reconfigure(encoding="utf-8", errors=errors, newline="\n")  # type: ignore[union-attr]
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if sys.stderr.fileno() == 2 and not sys.stderr.isatty():
            sys.stderr.flush()
            buffer = io.BufferedWriter(_Messages(sys.stderr))
            sys.stderr = io.TextIOWrapper(buffer, "utf-8", sys.stderr.errors, line_buffering=True)


def _discard_output() -> None:
    """Keeps Python from flushing at exit what standard output can't take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _leave_broken_pipe() -> None:
    """The reader of our output has had enough."""
    _discard_output()
    sys.exit(128 + 13)  # SIGPIPE, which Windows doesn't name


if __name__ == "__main__":
    main()
