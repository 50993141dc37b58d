"""Break the equations and the training code on purpose, one small change at a time, and see that a test notices.

    python tools/mutants.py --mutants 100 --seed 1
    python tools/mutants.py --file nmt/models/ntm.py

A mutant is a copy of the package in which one expression is changed: an operator or a function is swapped, a term left
out, a constant or an index shifted. The tests of that file run first, then those that run over all systems. A mutant
that passes all of them is printed with its change: a test is missing, or the change makes no difference (then it
belongs in ``EQUIVALENT``, with the reason).
"""

import argparse
import ast
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("nmt/models", "nmt/training", "nmt/decoding")
SKIPPED = ("build.py", "weights.py", "display.py", "report.py", "logging.py", "distributed.py", "compilation.py",
           "run.py", "out_of_memory.py", "interrupts.py", "history.py", "events.py",
           "sinks.py", "__init__.py")  # fmt: skip
"""Files without equations; what they do is tested by killing processes and by hostile input."""

GENERAL = ["tests/models/test_contract.py", "tests/golden"]

EQUIVALENT: dict[str, str] = {}
"""Changes that no test can notice, as ``FILE: BEFORE -> AFTER``, and why."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.MatMult: ast.Mult, ast.Lt: ast.LtE,
    ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or,
    ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {
    "sigmoid": "tanh", "tanh": "sigmoid", "softmax": "log_softmax", "log_softmax": "softmax",
    "sum": "mean", "mean": "sum",
    "cumsum": "cumprod", "cos": "sin", "sin": "cos", "amax": "amin", "max": "min", "min": "max", "exp": "sigmoid",
    "softplus": "relu", "argmax": "argmin", "relu": "tanh", "log": "exp", "any": "all", "all": "any",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A change of one expression of a file."""

    file: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        return f"{self.file}: {self.before} -> {self.after}"


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    source = path.read_text("utf-8")
    number = 0
    while True:
        tree = ast.parse(source)
        changer = _Changer(number)
        changer.visit(tree)
        if changer.found is None:
            return
        node, before = changer.found
        after = ast.unparse(node)
        if after != before:
            yield Mutant(str(path.relative_to(ROOT)), node.lineno, before, after, ast.unparse(tree))
        number += 1


class _Changer(ast.NodeTransformer):
    """Changes the expression with a given number, in the order of the file; not in annotations and declarations."""

    def __init__(self, wanted: int) -> None:
        self._left, self.found = wanted, None

    def _is_it(self) -> bool:
        self._left -= 1
        return self._left == -1

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        before = ast.unparse(node)
        if type(node.op) in SWAPS and self._is_it():
            node.op = SWAPS[type(node.op)]()  # type: ignore[assignment]
            self.found = node, before
            return node
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        before = ast.unparse(node)
        if type(node.ops[0]) in SWAPS and self._is_it():
            node.ops[0] = SWAPS[type(node.ops[0])]()  # type: ignore[call-overload]
            self.found = node, before
            return node
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        before = ast.unparse(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in NAMES and self._is_it():
            node.func.attr = NAMES[node.func.attr]
            self.found = node, before
            return node
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) in (int, float) and self._is_it():
            before = ast.unparse(node)
            node.value = node.value + 1
            self.found = node, before
        return node


def tests_of(file: str) -> list[str]:
    """The tests of a file: those whose name is in its name or the other way round, else those of its folder."""
    folder = ROOT / "tests" / Path(file).parts[1].removesuffix(".py")
    stem = Path(file).stem
    tests = sorted(folder.rglob("test_*.py")) if folder.is_dir() else [ROOT / "tests" / f"test_{stem}.py"]
    named = [t for t in tests if stem in t.stem or t.stem.removeprefix("test_") in stem]
    rest = [t for t in tests if t not in named and t.name != "test_contract.py"]
    return [str(t.relative_to(ROOT)) for t in (*named, *rest) if t.exists()]


def survives(mutant: Mutant, tests: list[str], seconds: float) -> bool:
    """Whether the tests pass with the mutant."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        for part in ("nmt", "tests", "recipes", "tools", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
            copy(ROOT / part, folder / part)
        (folder / mutant.file).write_text(mutant.source, "utf-8")
        pid = os.fork()
        if not pid:
            _run_tests(folder, tests)
        started = time.monotonic()
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            if time.monotonic() > started + seconds:  # a mutant that hangs is noticed
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                return False
            time.sleep(0.05)


def _run_tests(folder: Path, tests: list[str]) -> None:
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    import pytest

    os.environ["PYTHONPATH"] = str(folder)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--basetemp", str(folder / "tmp")]
    os._exit(int(pytest.main([*options, *tests])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--file", action="append", metavar="FILE", help="only mutants of this file; may be repeated")
    parser.add_argument("--seconds", type=float, default=300, metavar="X", help="longest time of the tests of a mutant")
    options = parser.parse_args()
    files = [ROOT / file for file in options.file or ()] or [
        path for part in FOLDERS for path in sorted((ROOT / part).rglob("*.py")) if path.name not in SKIPPED
    ]
    made = [mutant for path in files for mutant in mutants_of(path) if mutant.key not in EQUIVALENT]
    chosen = random.Random(options.seed).sample(made, min(options.mutants, len(made)))
    import torch  # noqa: F401 - so that the forked processes start quickly

    for file in sorted({mutant.file for mutant in chosen}):  # a test that fails anyway would notice every mutant
        unchanged = Mutant(file, 0, "", "", (ROOT / file).read_text("utf-8"))
        if not survives(unchanged, tests_of(file), 10 * options.seconds):
            sys.exit(f"The tests of {file} fail without a mutant: {' '.join(tests_of(file))}")
    survivors = []
    for number, mutant in enumerate(chosen, start=1):
        started = time.monotonic()
        alive = survives(mutant, tests_of(mutant.file), options.seconds) and survives(mutant, GENERAL, options.seconds)
        verdict = "SURVIVES" if alive else "noticed"
        print(
            f"{number}/{len(chosen)} {verdict} {time.monotonic() - started:.0f} s  {mutant.file}:{mutant.line}",
            flush=True,
        )
        if alive:
            survivors.append(mutant)
            print(f"    {mutant.before}\n    -> {mutant.after}", flush=True)
    print(f"{len(chosen)} of {len(made):,} mutants, {len(survivors)} survive")
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
