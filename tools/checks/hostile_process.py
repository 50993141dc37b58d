"""Runs the commands of a hostile case in forked processes, and judges how they end."""

import contextlib
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hostile_input import Case

SECONDS, MEGABYTES = 30.0, 2000.0
"""What a command may take."""
PYTHON: list[str] = []
"""The interpreter that commands start processes with, where it isn't this one."""


@dataclass
class Result:
    """How a case has ended.

    Args:
        code: of the command, or minus the signal that ended it.
        seconds: without the time for which the process waited for a processor.
        messages: on standard error, of all commands.
    """

    code: int
    seconds: float
    messages: str
    problems: list[str] = field(default_factory=list)


class Process:
    """A command of a case."""

    def __init__(self, case: Case, arguments: list[str], folder: Path, number: int) -> None:
        self.arguments, self.started = arguments, time.monotonic()
        self.messages = folder / (f"stderr{number}" if number else "stderr")
        self.code: int | None = None
        self.waited = self.megabytes = self.seconds = 0.0
        self.pid = os.fork()
        if not self.pid:
            _become(case, arguments, folder, number)

    def ended(self, seconds: float) -> bool:
        """Whether it has ended; one that takes longer than so many seconds is killed."""
        if self.code is None:
            over = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            with contextlib.suppress(OSError, IndexError):  # a thread that ends
                threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
                waited = sum(int(each.read_text().split()[1]) for each in threads) / 1e9
                self.waited = max(self.waited, waited)
            self.seconds = time.monotonic() - self.started - self.waited
            if not over and self.seconds > seconds:
                os.kill(self.pid, signal.SIGKILL)
            if over or self.seconds > seconds:
                _, status, usage = os.wait4(self.pid, 0)
                self.code, self.megabytes = os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1000
        return self.code is not None

    def problems(self, seconds: float, megabytes: float, text: str) -> Iterator[str]:
        if "Traceback (most recent call last)" in text:
            yield "traceback"
        if self.seconds > seconds:
            yield f"longer than {seconds:g} s"
        elif self.code is not None and self.code < 0:
            yield f"ended by signal {-self.code}"
        elif self.code not in (0, 1, 2, 141):
            yield f"exit code {self.code}"
        if self.megabytes > megabytes:
            yield f"{self.megabytes:,.0f} MB"
        if self.code == 2 and "Usage:" not in text and sum(bool(line.strip()) for line in text.splitlines()) < 2:
            yield "no remedy"


@contextlib.contextmanager
def copied(base: Path) -> Iterator[Path]:
    """A copy of the honest input."""
    with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as name:
        shutil.copytree(base, folder := Path(name) / "case", symlinks=True)
        yield folder


def run(case: Case, base: Path, seconds: float, megabytes: float) -> Result:
    """Run the commands of a case in a copy of the honest input."""
    with copied(base) as folder:
        case.prepare(folder)
        (folder / "stdin").write_bytes(case.standard_input)
        before = {name: content(folder / name) for name in case.outputs}
        processes = list[Process]()
        for number, arguments in enumerate([case.arguments, *case.others]):
            if number and math.isinf(case.delay):
                _wait(processes, case.patience * seconds)
            elif number:
                time.sleep(case.delay)
            processes.append(Process(case, arguments, folder, number))
        _wait(processes, case.patience * seconds)
        texts = [p.messages.read_text("utf-8", "replace") if p.messages.exists() else "" for p in processes]
        codes = [process.code or 0 for process in processes]
        result = Result(codes[0], max(process.seconds for process in processes), "\n".join(texts))
        for process, text in zip(processes, texts, strict=True):
            result.problems += process.problems(case.patience * seconds, megabytes, text)
        if min(codes) >= 0 and not case.is_killed:
            result.problems += [f"{path.name} is left" for path in sorted(folder.rglob(".nmt-*.tmp"))]
        if codes[0] == 2:
            changed = [name for name, old in before.items() if content(folder / name) != old]
            result.problems += [f"{name} was written by a command that failed" for name in changed]
        if not result.problems:
            result.problems += case.check(folder, codes)
    return result


def _wait(processes: list[Process], seconds: float) -> None:
    while not all(process.ended(seconds) for process in processes):
        time.sleep(0.02)


def content(path: Path) -> object:
    """Bytes of a file, or names of the content of a folder."""
    if path.is_dir():
        return sorted(each.name for each in path.rglob("*"))
    return path.read_bytes() if path.is_file() else None


def _become(case: Case, arguments: list[str], folder: Path, number: int) -> None:
    """Become a command; never returns."""
    code = 70
    try:
        os.chdir(folder)
        os.environ["NMT_CACHE"] = str(folder / "cache")
        own = number or ""
        streams = [("stdin", os.O_RDONLY)]
        streams += [(f"{name}{own}", os.O_WRONLY | os.O_CREAT) for name in ("stdout", "stderr")]
        for descriptor, (file, flags) in enumerate(streams):
            os.dup2(os.open(file, flags, 0o600), descriptor)
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
        os.environ["HOME"] = str(folder)
        sys.argv = ["nmt", *arguments]
        sys.executable = PYTHON[0] if PYTHON else sys.executable
        sys.stdin = os.fdopen(0, "r", encoding="utf-8")
        sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8", errors="backslashreplace") for n in (1, 2))
        case.set_up()
        from nmt.__main__ import main

        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # None where the stream is closed
                stream.flush()
        os._exit(code)
