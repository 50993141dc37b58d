"""The installed package: what it exports, and that nothing heavy is imported before it is needed."""

import ast
import importlib.resources
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest
import yaml

import nmt
from nmt.recipe.registry import entry_points_in


def modules_after(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after running some code."""
    code = f"import atexit, sys\natexit.register(lambda: print('\\nLOADED', *sys.modules))\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LOADED" in done.stdout, done.stderr
    return set(done.stdout.split("\nLOADED ")[1].split())


def imported_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running some code."""
    return {name.split(".")[0] for name in modules_after(code)}


@pytest.fixture(scope="module")
def modules_of_the_command_lines_libraries() -> set[str]:
    return modules_after(
        "import typer, typer.rich_utils, rich.console, rich.progress, pydantic.main, pydantic.fields, yaml"
    )


@pytest.mark.quick("arguments0")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["translate", "--help"], ["translate", "--nonsense"]])
def test_the_command_line_imports_little_more_than_typer_rich_and_pydantic(
    arguments: list[str], modules_of_the_command_lines_libraries: set[str]
) -> None:
    modules = modules_after(f"sys.argv = ['nmt', *{arguments}]\nfrom nmt.__main__ import main\nmain()")
    libraries = {name.split(".")[0] for name in modules_of_the_command_lines_libraries}
    assert "typer" in modules
    assert {name.split(".")[0] for name in modules} - libraries - sys.stdlib_module_names <= {"nmt"}
    assert len(modules - modules_of_the_command_lines_libraries) < 100


def test_scores_need_no_torch() -> None:
    assert "torch" not in imported_by("import nmt.metrics.table, nmt.alignment.aer")


def test_a_translation_imports_no_more_than_it_needs(tiny_model: Path) -> None:
    """torch._dynamo imports SymPy and takes longer than all other imports; the others are for other commands."""
    modules = imported_by(f"import nmt\nnmt.load({str(tiny_model)!r}, 'cpu').translate(['Heute'])")
    assert {"sympy", "datasets", "pandas", "matplotlib", "sacrebleu", "jinja2"} & modules == set()


def test_the_lock_has_the_versions_of_the_constraints(repo_root: Path) -> None:
    def pins(name: str) -> dict[str, str]:
        found = re.findall(r"^([\w.-]+)==([^\s;]+)", (repo_root / name).read_text("utf-8"), re.MULTILINE)
        return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}

    locked, tested = pins("requirements.lock"), pins("constraints.txt")
    project = tomllib.loads((repo_root / "pyproject.toml").read_text("utf-8"))["project"]
    direct = {re.split(r"[^\w.-]", each)[0].lower() for each in project["dependencies"]}
    assert direct <= locked.keys()
    assert {name: locked[name] for name in locked.keys() & tested} == {
        name: tested[name] for name in locked.keys() & tested
    }


def test_the_script_and_the_module_are_the_same_program() -> None:
    script = Path(sys.executable).with_name("nmt")
    if not script.exists():
        pytest.skip("nmt is not installed beside this Python")
    outputs = [
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        for command in ([script], [sys.executable, "-m", "nmt"])
    ]
    assert outputs[0] == outputs[1] == f"nmt {nmt.__version__}\n"


ROOMS = (
    "core", "recipe", "data", "metrics", "models", "decoding", "tasks", "training", "alignment", "jobs", "translation",
    "plotting", "evaluation", "autotrain", "api", "quickstart", "cli", "extensions",
)  # fmt: skip
"""The folders of nmt: each imports from itself and from those before it (docs/reference/code-layout.md)."""

LIMITS = {
    "core": 1_516,
    "recipe": 1_230,
    "data": 2_006,
    "metrics": 440,
    "models": 2_980,
    "decoding": 1_385,
    "tasks": 223,
    "training": 4_039,
    "alignment": 1_017,
    "jobs": 262,
    "translation": 1_698,
    "plotting": 892,
    "evaluation": 153,
    "autotrain": 993,
    "api": 168,
    "quickstart": 204,
    "cli": 1_758,
    "extensions": 27_119,
}
"""The most lines of Python of each folder. The numbers go down; they are raised only where an issue grants it."""


def test_each_folder_stays_within_its_limit(repo_root: Path) -> None:
    sizes = {
        room: sum(path.read_bytes().count(b"\n") for path in (repo_root / "nmt" / room).rglob("*.py")) for room in ROOMS
    }
    assert sizes.keys() == LIMITS.keys()
    assert {room: size for room, size in sizes.items() if size > LIMITS[room]} == {}


def test_imports_point_one_way() -> None:
    package = Path(nmt.__file__).parent
    assert {path.name for path in package.glob("*.py")} == {"__init__.py", "__main__.py"}, "modules stand in folders"
    ranks = {name: number for number, name in enumerate(ROOMS)}
    wrong = set()
    for path in package.rglob("*/*.py"):
        name = path.relative_to(package)
        for imported in filter(re.compile(r"nmt\.").match, names_in(path)):
            room = imported.split(".")[1]
            assert room in ranks, f"{name} imports {imported}"
            if ranks[room] > ranks[name.parts[0]]:
                wrong.add(name.as_posix())
    assert not wrong


def test_no_two_files_import_each_other() -> None:
    """Neither directly nor by way of others, also inside functions and for annotations."""
    package = Path(nmt.__file__).parent
    files = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in package.rglob("*.py")}
    faces = {name for name, path in files.items() if path.name == "__init__.py"}  # imported with each file below them
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        named = {known for known in names_in(path) if known in files}
        graph[name] = {each for each in named if f"{each}.__init__" not in faces} - {name}
    list(TopologicalSorter(graph).static_order())  # raises CycleError


@cache
def names_in(path: Path) -> list[str]:
    """Names of the modules that a file imports, at any depth, and of what it imports from them."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            names += (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
    return names


def test_the_page_of_the_layout_has_every_folder(repo_root: Path) -> None:
    page = (repo_root / "docs" / "reference" / "code-layout.md").read_text("utf-8")
    folders = {path.parent.name for path in (repo_root / "nmt").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `nmt/(\w+)/` \|", page, re.MULTILINE)) == folders
    tools = {path.name for path in (repo_root / "tools").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set(re.findall(r"^\| `tools/(\w+)/` \|", page, re.MULTILINE)) == tools


def test_tests_mirror_the_package_and_the_tools(repo_root: Path) -> None:
    """tests/X/test_Y.py or tests/X/test_Y_MORE.py tests the module or folder nmt/X/Y; tests/tools mirrors tools."""
    tests = repo_root / "tests"
    found = 0
    for path in tests.rglob("test_*.py"):
        folder = path.parent.relative_to(tests)
        if folder.parts in ((), ("extensions",)) or folder.parts[0] in ("integration", "golden", "support"):
            continue
        mirrored = repo_root / folder if folder.parts[0] == "tools" else repo_root / "nmt" / folder
        parts = path.stem.split("_")[1:]
        names = {"_".join(parts[:end]) for end in range(1, len(parts) + 1)}
        existing = {file.stem for file in mirrored.iterdir()} if mirrored.is_dir() else set()
        assert names & existing, f"{path.relative_to(tests)}: no module or folder in {mirrored.relative_to(repo_root)}"
        found += 1
    assert found > 100


def test_versions_are_bounded_and_the_oldest_are_those_of_the_constraints(repo_root: Path) -> None:
    configuration = tomllib.loads((repo_root / "pyproject.toml").read_text("utf-8"))
    project = configuration["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    extras = {name: [requirement.partition(";")[0] for requirement in group] for name, group in groups.items()}
    allowed = [
        requirement
        for name in ("", "tensorboard", "ctranslate2", "onnx", "zstd", "serve", "documents")
        for requirement in extras[name]
        if not requirement.startswith("nmt[")
    ]
    of_groups = [each for group in configuration["dependency-groups"].values() for each in group]
    for requirement in (*chain(*extras.values()), *(each for each in of_groups if isinstance(each, str))):
        assert re.search(r",<[\d.]+$|==|^nmt\[", requirement)
    lines = (repo_root / "constraints-oldest.txt").read_text("utf-8").splitlines()
    pins = [line.replace("==", ">=") for line in lines if not line.startswith("#")]
    assert pins == [requirement.partition(",<")[0] for requirement in allowed]


def test_the_files_of_a_release_name_its_version(repo_root: Path) -> None:
    citation = yaml.safe_load((repo_root / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert str(citation["version"]) == nmt.__version__
    newest = re.search(r"^## \[([\d.]+)\]", (repo_root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == nmt.__version__


def test_the_package_is_typed() -> None:
    assert (importlib.resources.files("nmt") / "py.typed").is_file()


def test_public_names() -> None:
    assert {"UserError", "__version__", "load", "train", "build", "Translator", "Translation", "Recipe"} <= set(
        nmt.__all__
    )
    assert {*nmt.__all__, *(entry.name for entry in entry_points_in("nmt.names"))} <= set(dir(nmt))
    for name in dir(nmt):
        assert getattr(nmt, name) is not None
    with pytest.raises(AttributeError, match="lode"):
        nmt.lode  # noqa: B018
