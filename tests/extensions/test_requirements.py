"""Each extension declares the other extensions that it imports, so that each can be deleted with those that need it."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import nmt.extensions
from nmt.recipe.registry import entry_points_in

FOLDER = Path(nmt.extensions.__file__).parent
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))


def imported_extensions(code: str) -> Iterator[str]:
    """Names of the extensions that code imports, at any depth and in every form."""
    modules = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            modules.append(node.value)  # for importlib.import_module, or python -m
    for module in modules:
        if module.startswith("nmt.extensions."):
            yield module.split(".")[2]


def requirements(name: str) -> tuple[str, ...]:
    return getattr(import_module(f"nmt.extensions.{name}"), "REQUIRES", ())


@pytest.mark.parametrize("name", NAMES)
def test_requirements_are_the_imported_extensions(name: str) -> None:
    codes = [path.read_text("utf-8") for path in (FOLDER / name).rglob("*.py")]
    imported = {extension for code in codes for extension in imported_extensions(code)}
    assert requirements(name) == tuple(sorted(imported - {name}))


@pytest.mark.parametrize("name", NAMES)
def test_tests_import_another_extension_only_where_they_need_it(name: str) -> None:
    """A module of tests whose first lines import an extension that was deleted could not be collected."""
    allowed = {name, *requirements(name)}
    for other in requirements(name):
        allowed.update(requirements(other))
    for path in Path(__file__).with_name(name).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        at_once = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert set(imported_extensions(ast.unparse(at_once))) <= allowed, path  # others: inside the marked test


def test_the_page_of_extensions_has_the_commands_of_each(repo_root: Path) -> None:
    commands: dict[str, list[str]] = {name: [] for name in NAMES}
    for group, prefix in (("nmt.commands", ""), ("nmt.commands.inspect", "inspect ")):
        for entry in entry_points_in(group):
            if entry.module.startswith("nmt.extensions."):  # another package may have commands, too
                commands[entry.module.split(".")[2]].append(f"`{prefix}{entry.name}`")
    page = (repo_root / "docs" / "reference" / "extensions.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\|", page, re.MULTILINE))
    for name in NAMES:
        assert sorted(filter(None, rows[name].split(", "))) == sorted(commands[name]), name


def test_requirements_are_acyclic() -> None:
    graph = {name: requirements(name) for name in NAMES}
    assert set(TopologicalSorter(graph).static_order()) == set(NAMES)
