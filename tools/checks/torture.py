"""Try hostile input on every command and see that nothing crashes, hangs, or takes all memory.

    python tools/checks/torture.py --cases 10000 --seed 1
    python tools/checks/torture.py --kind recipe --cases 500

Each case changes honest input at random: a recipe, a ``--set``, a corpus, alignment files, a file of a model
directory, or an option; or it is a bomb in a compressed format or a document, a line of up to 50 MB, a damaged model
to export, plan or correct with, or two commands in one folder. A command runs in a process of its own, forked after the
imports. A case fails when the process prints a traceback, takes longer than ``--seconds``, without those in which it
waits for a processor, or more than ``--megabytes`` of memory, is ended by a signal, refuses its input (exit code 2)
without a message and a remedy, or leaves temporary files or a part of its output. The command that repeats a failed
case is printed.
"""

import argparse
import contextlib
import gc
import math
import os
import pickle
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import hostile_process
from hostile_commands import NewKinds
from hostile_files import make_files
from hostile_input import Case, make_base
from hostile_pairs import PairKinds
from hostile_process import MEGABYTES, SECONDS, run
from hostile_texts import TextKinds, make_texts
from warm_python import warm_python

INPUT_KINDS = (
    "recipe", "setting", "corpus", "links", "model", "input", "command", "text", "place", "environment", "record",
    "document",
)  # fmt: skip
FILE_KINDS = ("bomb", "line", "export", "plan", "corrections", "together")
"""Kinds whose honest input is another one."""
TEXT_KINDS = ("texts",)
"""Kinds of text to train on by ``nmt train TEXT… --minutes M``."""


def _import_everything() -> None:
    """What commands import when they work, once, so that a forked process starts at once."""
    import importlib
    import pkgutil

    import nmt

    for module in pkgutil.walk_packages(nmt.__path__, "nmt."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # an extra that isn't installed
                importlib.import_module(module.name)
    for name in ("ctranslate2.converters", "transformers.models.marian.modeling_marian", "onnx"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def make(build: Callable[[Path], None], base: Path) -> Path:
    """Make honest input in another process: training starts threads that a forked process wouldn't have."""
    pid = os.fork()
    if not pid:
        try:
            build(base)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit("the honest input can't be made")
    return base


def options_of_program() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = INPUT_KINDS + FILE_KINDS + TEXT_KINDS
    parser.add_argument("--cases", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed makes the same cases")
    parser.add_argument("--kind", choices=kinds, nargs="+", default=kinds, help="only cases of these kinds")
    parser.add_argument("--only", type=int, metavar="N", help="only case number N, with its output")
    parser.add_argument("--show", action="store_true", help="print the command and the messages of each case")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="start with case number N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that run cases at the same time")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="X", help="stop earlier, after so long")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="X")
    parser.add_argument("--megabytes", type=float, default=MEGABYTES, metavar="X")
    return parser.parse_args()


class Torturer:
    """Runs cases, and prints those that fail.

    Args:
        folder: an empty folder for the honest input.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.failures, self.codes, self.kinds, self.slowest = 0, Counter[int](), Counter[str](), 0.0
        self.makers: dict[str, tuple[Callable[[random.Random], Case], Path]] = {}
        self._add(INPUT_KINDS, make_base, NewKinds)
        self._add(FILE_KINDS, make_files, PairKinds)
        self._add(TEXT_KINDS, make_texts, TextKinds)

    def _add(self, kinds: tuple[str, ...], build: Callable[[Path], None], maker: type) -> None:
        if chosen := set(kinds) & {*self.options.kind}:
            base = make(build, self.folder / build.__name__)
            made = maker(base)
            self.makers |= {kind: (getattr(made, kind), base) for kind in chosen}

    def run(self, number: int) -> None:
        options = self.options
        rng = random.Random(f"{options.seed} {number}")
        kind = rng.choice(options.kind)
        create, base = self.makers[kind]
        case = create(rng)
        result = run(case, base, options.seconds, options.megabytes)
        self.codes[result.code] += 1
        self.kinds[kind] += 1
        self.slowest = max(self.slowest, result.seconds)
        if options.only is not None or options.show:
            print(number, result.code, " ".join(case.arguments), case.described, result.messages, sep="\n")
        if result.problems:
            self.failures += 1
            again = f"--seed {options.seed} --only {number} --kind {' '.join(options.kind)}"
            command = " ".join(argument[:200] for argument in case.arguments)
            print(f"FAILED {', '.join(result.problems)}: nmt {command}  ({again})\n    {case.described[:300]}")
            print("    " + "\n    ".join(result.messages.splitlines()[-3:])[:600], flush=True)

    def run_all(self, numbers: Iterable[int]) -> None:
        started, done = time.monotonic(), 0
        for done, number in enumerate(numbers, start=1):
            self.run(number)
            if done % 100 == 0:
                print(f"case {number:,}: {done:,} done, {self.failures} failed, {dict(self.codes)}", flush=True)
            if time.monotonic() > started + 60 * self.options.minutes:
                print(f"stopped after case {number}", flush=True)
                break


def in_processes(torturer: Torturer, numbers: range, folder: Path) -> None:
    """Run cases in several processes, and add up what they have counted."""
    pids, num = list[int](), torturer.options.jobs
    for job in range(num):
        if not (pid := os.fork()):
            try:
                torturer.run_all(numbers[job::num])
            except BaseException:  # the folder belongs to the others, too
                traceback.print_exc()
                torturer.failures += 1
            counted = (torturer.failures, torturer.codes, torturer.kinds, torturer.slowest)
            (folder / f"counted-{job}").write_bytes(pickle.dumps(counted))
            os._exit(0)
        pids.append(pid)
    for job, pid in enumerate(pids):
        os.waitpid(pid, 0)
        failures, codes, kinds, slowest = pickle.loads((folder / f"counted-{job}").read_bytes())
        torturer.failures += failures
        torturer.codes += codes
        torturer.kinds += kinds
        torturer.slowest = max(torturer.slowest, slowest)


def main() -> None:
    options = options_of_program()
    with tempfile.TemporaryDirectory(prefix="torture-base-") as name, contextlib.ExitStack() as stack:
        if "plan" in options.kind:
            hostile_process.PYTHON.append(str(stack.enter_context(warm_python(Path(name) / "warm"))))
        _import_everything()
        torturer = Torturer(options, Path(name))
        gc.freeze()
        numbers = range(options.first, options.cases) if options.only is None else [options.only]
        if options.jobs > 1 and isinstance(numbers, range):
            in_processes(torturer, numbers, Path(name))
        else:
            torturer.run_all(numbers)
    print(f"{torturer.codes.total():,} cases, {torturer.failures} failed; {dict(torturer.kinds)}; "
          f"exit codes {dict(torturer.codes)}; the slowest took {torturer.slowest:.1f} s")  # fmt: skip
    sys.exit(bool(torturer.failures))


if __name__ == "__main__":
    main()
