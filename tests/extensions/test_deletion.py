"""Each extension can be deleted: the rest of the package imports, and its commands say what to do."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import nmt

PACKAGE = Path(nmt.__file__).parent
EXTENSIONS = sorted(path.parent.name for path in (PACKAGE / "extensions").glob("*/__init__.py"))
IMPORT_ALL = """
import importlib, pkgutil, nmt
for module in pkgutil.walk_packages(nmt.__path__, "nmt."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def run(root: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.getenv("PYTHONPATH")])])}
    return subprocess.run(
        [sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def requiring(name: str) -> set[str]:
    """Returns an extension and those that can't do without it."""
    found = {name}
    for other in EXTENSIONS:
        required = getattr(import_module(f"nmt.extensions.{other}"), "REQUIRES", ())
        found |= requiring(other) if name in required else set()
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "nmt", ignore=shutil.ignore_patterns("__pycache__", "*.js", "*.bz2"))
    return tmp_path


@pytest.mark.quick("interchange", "techniques")
@pytest.mark.parametrize("name", EXTENSIONS)
def test_an_extension_can_be_deleted(copy: Path, name: str) -> None:
    shutil.rmtree(copy / "nmt" / "extensions" / name)
    page = run(copy, "-m", "nmt", "--help")
    assert (page.returncode, page.stderr) == (0, "")
    listed = {line.split()[0] for line in page.stdout.splitlines() if line.startswith("  ")}
    gone = requiring(name)
    commands = {  # another package may have commands, too
        entry.name: entry.module.split(".")[2]
        for entry in entry_points(group="nmt.commands")
        if entry.module.startswith("nmt.extensions.")
    }
    for command, extension in commands.items():
        if extension in EXTENSIONS:
            assert (command in listed) == (extension not in gone), command
    for command in [command for command, extension in commands.items() if extension == name][:1]:
        refused = run(copy, "-m", "nmt", command, "--help")
        assert refused.returncode == 2
        assert f"The command '{command}' belongs to nmt.extensions.{name}" in refused.stderr
        assert "Install nmt again" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTENSIONS)
def test_everything_else_is_imported_without_it(copy: Path, name: str) -> None:
    for gone in requiring(name):
        shutil.rmtree(copy / "nmt" / "extensions" / gone)
    done = run(copy, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
