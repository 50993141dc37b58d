"""Break the equations and the training code on purpose, one small change at a time, and see that a test notices.

    python tools/checks/mutants.py --mutants 100 --seed 1
    python tools/checks/mutants.py --file nmt/extensions/algorithmic/ntm.py
    python tools/checks/mutants.py --named                   # or --named NAME, …

A mutant is a copy of the package in which one expression is changed: an operator, a function or a branch is swapped, a
term, a sign, a mask or a condition left out, a constant shifted. The tests that import the file run first, then those
that run over all systems. A mutant that passes all of them is printed with its change: a test is missing, or the change
makes no difference (then it belongs in ``EQUIVALENT``, with the reason).

``named_mutants.toml`` lists changes that no test noticed once: each names a file, the ``old`` text, which the file has
once, the ``new`` text in its place, and the ``tests`` that have to notice it.
"""

import argparse
import ast
import os
import random
import re
import shutil
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("nmt/models", "nmt/training", "nmt/decoding")
SKIPPED = ("build.py", "weights.py", "distributed.py", "run.py", "events.py", "sinks.py", "__init__.py")
"""Files without equations; what they do is tested by killing processes and by hostile input."""

NAMED = Path(__file__).with_name("named_mutants.toml")
GENERAL = ["tests/models/test_contracts.py", "tests/golden"]

EQUIVALENT: dict[str, str] = {
    r"cuda": "needs a GPU",
    r"_elapsed|perf_counter|monotonic|p\.seconds >=": "measures time",
    r"MAX_IDLE": "chooses when finished sentences leave the batch, which changes the time alone",
    r"losses\.nll\.detach": "the value is logged; no gradient is taken of it",
}
"""Changes that no test can notice: a regular expression of ``FILE: BEFORE -> AFTER``, and why."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {
    "sigmoid": "tanh", "tanh": "sigmoid", "sum": "mean", "mean": "sum", "cumsum": "cumprod", "cos": "sin",
    "sin": "cos", "amax": "amin", "max": "min", "min": "max", "softplus": "relu", "argmax": "argmin", "relu": "tanh",
    "any": "all", "all": "any",
}  # fmt: skip
LEFT_OUT = {"detach", "masked_fill", "clamp", "clamp_min", "flip"}
"""Methods of tensors without which the expression still has its shape."""
SKIPPED_NODES = (ast.AnnAssign, ast.Raise, ast.Assert, ast.JoinedStr, ast.arguments, ast.Import, ast.ImportFrom)
"""Declarations, errors and text."""


@dataclass(frozen=True)
class Mutant:
    """A change of a file."""

    file: str
    line: int
    before: str
    after: str
    source: str
    tests: tuple[str, ...] = ()
    """Tests that have to notice a named one."""

    @property
    def is_equivalent(self) -> bool:
        change = f"{self.file}: {self.before} -> {self.after}"
        return any(re.search(pattern, change) for pattern in EQUIVALENT)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    for parent, field, index, node in list(_places(tree)):
        before = ast.unparse(node)
        for changed in _changes(node, parent):
            _put(parent, field, index, changed)
            after, source = ast.unparse(changed), ast.unparse(ast.fix_missing_locations(tree))
            _put(parent, field, index, node)
            yield Mutant(str(path.relative_to(ROOT)), node.lineno, before, after, source)


def named_mutants(names: list[str]) -> Iterator[Mutant]:
    """The mutants of ``named_mutants.toml`` with some names; all of them if there are no names."""
    for each in tomllib.loads(NAMED.read_text("utf-8"))["mutant"]:
        if (names and each["name"] not in names) or not (ROOT / each["file"]).is_file():  # an extension was deleted
            continue
        text = (ROOT / each["file"]).read_text("utf-8")
        if text.count(each["old"]) != 1:
            sys.exit(f"{each['name']}: {each['file']} has the old text {text.count(each['old'])} times; write it anew.")
        line = text[: text.index(each["old"])].count("\n") + 1
        changed = text.replace(each["old"], each["new"])
        yield Mutant(each["file"], line, each["name"], each["new"], changed, tuple(each["tests"]))


def _places(parent: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, Any]]:
    """Every expression and statement, with where it stands in its parent."""
    for field, value in ast.iter_fields(parent):
        if field in ("decorator_list", "returns", "annotation"):
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST) and not isinstance(node, SKIPPED_NODES):
                yield parent, field, index, node
                yield from _places(node)


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _changes(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """What may stand in place of a node."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPS and _are_numbers(left, right):
            yield ast.BinOp(left, SWAPS[type(op)](), right)
            if not isinstance(op, (ast.BitAnd, ast.BitOr)):
                yield left
        case ast.Compare(left=left, ops=[op], comparators=others) if type(op) in SWAPS:
            yield ast.Compare(left, [SWAPS[type(op)]()], others)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
        case ast.UnaryOp(op=op, operand=operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in LEFT_OUT:
            yield value
        case ast.Call(func=ast.Attribute(value=value, attr=name), args=given, keywords=keywords) if name in NAMES:
            yield ast.Call(ast.Attribute(value, NAMES[name]), given, keywords)
        case ast.Call(func=ast.Name(id=name), args=given, keywords=keywords) if name in NAMES:
            yield ast.Call(ast.Name(NAMES[name]), given, keywords)
        case ast.IfExp(test=test, body=body, orelse=orelse) if _are_numbers(body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Constant(value=int() | float() as value) if isinstance(parent, (ast.BinOp, ast.Compare)):
            if not isinstance(value, bool):
                yield ast.Constant(value + 1)
        case ast.AugAssign(target=target, value=value):
            yield ast.Assign([target], value, lineno=node.lineno)


def _are_numbers(*operands: ast.AST) -> bool:
    """Whether operands may be numbers or tensors: not text, lists, or parts of a path."""
    texts = (ast.Constant, ast.List, ast.Tuple, ast.ListComp, ast.JoinedStr)
    return not any(isinstance(o, texts) and not isinstance(getattr(o, "value", ""), (int, float)) for o in operands)


def tests_of(file: str) -> list[str]:
    """The tests of the file's folder that import the file, those with its name first; none that start processes."""
    module, stem = file.removesuffix(".py").replace("/", "."), Path(file).stem
    found = []
    for test in sorted((ROOT / "tests" / Path(file).parts[1]).rglob("test_*.py")):
        text, name = test.read_text("utf-8"), str(test.relative_to(ROOT))
        if name not in GENERAL and "zygote" not in text and (module in text or test.stem == f"test_{stem}"):
            found.append(name)
    return sorted(found, key=lambda name: stem not in name)


def outcome(mutant: Mutant, tests: list[str], seconds: float) -> tuple[str, str]:
    """``survives`` where the tests pass with the mutant; how it was noticed else, and by which test."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        for part in ("nmt", "tests", "recipes", "tools", "examples", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
            copy(ROOT / part, folder / part)
        (folder / mutant.file).write_text(mutant.source, "utf-8")
        pid = os.fork()
        if not pid:
            _run_tests(folder, tests)
        started = time.monotonic()
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > started + seconds:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                return "hangs", ""
            time.sleep(0.05)
        code, text = os.waitstatus_to_exitcode(ended[1]), (folder / "output").read_text("utf-8", "replace")
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    return {0: "survives", 1: "noticed", 2: "noticed"}.get(code, f"pytest ended with {code}"), "".join(failed[:1])


def _run_tests(folder: Path, tests: list[str]) -> None:
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    descriptor = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    import pytest

    os.environ["PYTHONPATH"] = str(folder)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--basetemp", str(folder / "tmp")]
    os._exit(int(pytest.main([*options, *tests])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--file", action="append", metavar="FILE", help="only mutants of this file; may be repeated")
    parser.add_argument("--named", nargs="*", metavar="NAME", help="the mutants of named_mutants.toml, or some of them")
    parser.add_argument("--seconds", type=float, default=1200, metavar="X", help="after which tests count as hanging")
    options = parser.parse_args()
    import torch  # noqa: F401 - so that the forked processes start quickly

    if options.named is not None:
        made = chosen = list(named_mutants(options.named))
    else:
        files = [ROOT / file for file in options.file or ()] or [
            path for part in FOLDERS for path in sorted((ROOT / part).rglob("*.py")) if path.name not in SKIPPED
        ]
        made = [mutant for path in files for mutant in mutants_of(path) if not mutant.is_equivalent]
        chosen = random.Random(options.seed).sample(made, min(options.mutants, len(made)))

    found, sound = Counter[str](), dict[str, bool]()
    for number, mutant in enumerate(chosen, start=1):
        started, tests = time.monotonic(), list(mutant.tests) or tests_of(mutant.file)
        verdict, test = outcome(mutant, tests, options.seconds) if tests else ("survives", "")
        if verdict == "survives" and not mutant.tests:
            verdict, test = outcome(mutant, GENERAL, options.seconds)
        if verdict == "noticed":  # a test that fails anyway would notice every mutant
            if test not in sound:
                unchanged = Mutant(mutant.file, 0, "", "", (ROOT / mutant.file).read_text("utf-8"))
                sound[test] = outcome(unchanged, [test.split("[")[0]], options.seconds)[0] == "survives"
            verdict = verdict if sound[test] else "failing anyway"
        found[verdict] += 1
        seconds = time.monotonic() - started
        print(f"{number}/{len(chosen)} {verdict} {seconds:.0f} s  {mutant.file}:{mutant.line}  {test}")
        print(f"    {mutant.before}\n    -> {mutant.after}", flush=True)
    print(f"{len(chosen)} of {len(made):,} mutants: {dict(found)}")
    sys.exit(bool(set(found) - {"noticed", "hangs"}))


if __name__ == "__main__":
    main()
