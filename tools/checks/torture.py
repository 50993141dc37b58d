"""Try hostile input on every command and see that nothing crashes, hangs, or takes all memory.

    python tools/checks/torture.py --cases 10000 --seed 1
    python tools/checks/torture.py --kind recipe --cases 500

Each case changes honest input at random: a recipe, a ``--set``, a corpus, alignment files, a file of a model
directory, or an option. It runs in a process of its own, forked after the imports. A case fails when the process
prints a traceback, takes longer than ``--seconds`` or more than ``--megabytes`` of memory, is ended by a signal, or
refuses its input (exit code 2) without a message and a remedy. The command that repeats a failed case is printed.
"""

import argparse
import contextlib
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hostile_commands import NewKinds
from hostile_input import Case, make_base


@dataclass
class Result:
    code: int
    seconds: float
    megabytes: float
    stderr: str
    problems: list[str] = field(default_factory=list)


def run(case: Case, base: Path, seconds: float, megabytes: float) -> Result:
    """Run a case in a forked process, in a copy of the honest input."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        shutil.copytree(base, folder / "case", symlinks=True)
        folder = folder / "case"
        case.prepare(folder)
        (folder / "stdin").write_bytes(case.standard_input)
        started = time.monotonic()
        pid = os.fork()
        if not pid:
            _child(case, folder)
        code, usage = _wait(pid, started + seconds)
        duration = time.monotonic() - started
        stderr = (folder / "stderr").read_text("utf-8", "replace") if (folder / "stderr").exists() else ""
    result = Result(code, duration, usage / 1000, stderr)
    if "Traceback (most recent call last)" in stderr:
        result.problems.append("traceback")
    if duration >= seconds:
        result.problems.append(f"longer than {seconds:g} s")
    elif code < 0:
        result.problems.append(f"ended by signal {-code}")
    elif code not in (0, 1, 2, 141):
        result.problems.append(f"exit code {code}")
    if result.megabytes > megabytes:
        result.problems.append(f"{result.megabytes:,.0f} MB")
    if code == 2 and "Usage:" not in stderr and len([line for line in stderr.splitlines() if line.strip()]) < 2:
        result.problems.append("no remedy")
    return result


def _child(case: Case, folder: Path) -> None:
    """Become the command; never returns."""
    code = 70
    try:
        os.chdir(folder)
        os.environ["NMT_CACHE"] = str(folder / "cache")
        for number, (file, flags) in enumerate(
            (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY | os.O_CREAT), ("stderr", os.O_WRONLY | os.O_CREAT))
        ):
            os.dup2(os.open(file, flags, 0o600), number)
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
        os.environ["HOME"] = str(folder)
        sys.argv = ["nmt", *case.arguments]
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


def _wait(pid: int, deadline: float) -> tuple[int, int]:
    """The exit code of a process, or minus its signal, and its peak memory in 1,000 bytes; killed at the deadline."""
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss
        time.sleep(0.005)


def _import_everything() -> None:
    """What commands import when they work, once, so that a forked process starts at once."""
    import importlib
    import pkgutil

    import nmt

    for module in pkgutil.walk_packages(nmt.__path__, "nmt."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # an extra that isn't installed
                importlib.import_module(module.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = ("recipe", "setting", "corpus", "links", "model", "option", "input")
    kinds += ("command", "text", "place", "environment", "record", "document")
    parser.add_argument("--cases", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed makes the same cases")
    parser.add_argument("--kind", choices=kinds, nargs="+", default=kinds, help="only cases of these kinds")
    parser.add_argument("--only", type=int, metavar="N", help="only case number N, with its output")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="start with case number N")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="X", help="stop earlier, after so long")
    parser.add_argument("--seconds", type=float, default=30, metavar="X")
    parser.add_argument("--megabytes", type=float, default=2000, metavar="X")
    options = parser.parse_args()
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="torture-base-") as name:
        base = Path(name) / "base"
        # Training here would start threads that a forked process doesn't have: the honest input is made in another.
        pid = os.fork()
        if not pid:
            make_base(base)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            sys.exit("the honest input can't be made")
        _import_everything()
        made, failures, codes, slowest = NewKinds(base), 0, Counter[int](), 0.0
        started = time.monotonic()
        for number in range(options.first, options.cases) if options.only is None else [options.only]:
            if time.monotonic() > started + 60 * options.minutes:
                print(f"stopped before case {number}: continue with --first {number}")
                break
            rng = random.Random(f"{options.seed} {number}")
            case = getattr(made, rng.choice(options.kind))(rng)
            result = run(case, base, options.seconds, options.megabytes)
            codes[result.code] += 1
            slowest = max(slowest, result.seconds)
            if options.only is not None:
                print(case.described, result.stderr, sep="\n")
            if result.problems:
                failures += 1
                again = f"--seed {options.seed} --only {number}" + f" --kind {' '.join(options.kind)}"
                print(
                    f"FAILED {', '.join(result.problems)}: nmt {' '.join(a[:200] for a in case.arguments)}  ({again})"
                )
                print("    " + "\n    ".join(result.stderr.splitlines()[-3:])[:600], flush=True)
            elif number % 100 == 99:
                print(f"{number + 1:,} cases, {failures} failed, exit codes {dict(codes)}", flush=True)
    os.chdir(here)
    print(f"{codes.total():,} cases, {failures} failed; exit codes {dict(codes)}; the slowest took {slowest:.1f} s")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
