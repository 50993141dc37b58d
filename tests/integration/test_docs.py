"""What pages name is there: commands, options and keys in paragraphs, recipes, and commands that no test runs."""

import inspect
import itertools
import pkgutil
import re
import shlex
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from documentation import DOCS, NOT_RUN, PAGES, ROOT, Code, found_in, is_run, lines_of

from nmt.cli import app
from nmt.data.vocabulary.base import SEPARATOR
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.build import build
from nmt.recipe import yaml12
from nmt.recipe.load import load_recipe, parse_settings, shipped_recipes
from nmt.recipe.registry import provided
from nmt.training.techniques import TECHNIQUES

pytestmark = pytest.mark.extension  # the pages describe all extensions


def spans(pattern: str) -> list[Code]:
    """Code in paragraphs and tables that a pattern matches as a whole."""
    found = (code for page in PAGES for code in found_in(page, r"^```.*?^```|(?<!`)`([^`\n]+)`"))
    return [code for code in found if re.fullmatch(pattern, code.text)]


def on_each_page(found: list[Code]) -> pytest.MarkDecorator:
    """One case for each page, with all the code that was found on it."""
    pages = {code.page: [other for other in found if other.page == code.page] for code in found}
    return pytest.mark.parametrize("codes", pages.values(), ids=pages)


@cache
def program() -> Any:
    """The command line, where every command answers with its parsed arguments and does nothing."""

    def silence(command: Any) -> Any:
        if hasattr(command, "list_commands"):
            inner = {name: silence(command.get_command(None, name)) for name in command.list_commands(None)}
            command.commands, command.get_command = inner, lambda context, name: inner.get(name)
        else:
            command.callback = lambda **parsed: parsed
        return command

    return silence(typer.main.get_command(app))


def check_recipe(name: str, overrides: Mapping[str, Any]) -> None:
    """A recipe with overrides is valid, and so are the options of its components."""
    recipe = load_recipe(name, overrides)
    TECHNIQUES.choose_many(recipe.training.techniques, "training.techniques")
    joint = WordVocabulary([SEPARATOR, "▁a", "▁b"])
    build(recipe.model, Vocabularies(joint, joint))


NOT_RUN_LINES = [code for page in PAGES for code in lines_of(page) if not is_run(code)]


def test_the_table_of_recipes_has_all() -> None:
    table = (ROOT / "recipes" / "README.md").read_text("utf-8")
    described, _, figures = table.partition("## Figures")
    for part in (described, figures):
        unnamed = [name for name in shipped_recipes() if name.rpartition("/")[2] not in part]
        assert [name for name in unnamed if part is described or not name.startswith("bench/")] == []


def test_the_rows_from_lectures_to_the_code_name_what_is_there() -> None:
    page = ROOT / "docs" / "concepts" / "lectures.md"
    lines = [line for line in page.read_text("utf-8").splitlines() if re.match(r"\| (?!---|topic )", line)]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert len(rows) > 50
    for _topic, _equation, code, recipe, results in rows:
        [(name, module)] = re.findall(r"^`(\w+)` in (\S+)$", code)
        assert re.search(rf"^(?:class|def) {name}\b", (ROOT / "nmt" / module).read_text("utf-8"), re.MULTILINE), code
        assert set(re.findall(r"`([^`]+)`", recipe)) <= set(shipped_recipes())
        for text, target in re.findall(r"\[([^]]+)\]\(([^)#]+)", results):
            linked = (page.parent / target).resolve()
            assert linked.is_file()
            for figure in re.findall(r"\d+\.\d+", text):
                assert figure in linked.read_text("utf-8"), f"{figure} is not in {target}"


def test_the_page_of_components_has_a_row_for_each_class() -> None:
    """Code hosts show the rows; the site shows the docstrings, too, in place of the comments."""
    text = (ROOT / "docs" / "reference" / "components.md").read_text("utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(sections) > 10
    for section in sections:
        names = re.findall(r"^<!-- ::: (\S+)(?: \[.*\])? -->$", section, re.MULTILINE)
        rows = ["| name | file | description |", "| --- | --- | --- |", *map(row_of, names)]
        assert names
        assert "\n".join(rows) in section, "write these rows:\n" + "\n".join(rows)


def row_of(name: str) -> str:
    """The row of a class, a function or a module: the beginning of its docstring."""
    found = inspect.unwrap(pkgutil.resolve_name(name))
    summary = (inspect.getdoc(found) or "").partition("\n\n")[0]
    summary = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(summary.split())).replace("``", "`").replace("|", "\\|")
    summary = re.sub(":$", " …", summary)
    path = Path(inspect.getsourcefile(found) or "").relative_to(ROOT).as_posix()
    return f"| `{name.rpartition('.')[2]}` | `{path}` | {summary} |"


@pytest.mark.parametrize(
    "page", ["reference/a-line-and-a-batch.md", "reference/code-layout.md", "tutorials/read-the-code.md"]
)
def test_pages_about_the_code_name_files_and_functions_that_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    named = re.findall(r"`(nmt/[\w/]+\.py)(?::([\w.]+))?`", text)
    assert len(named) > 10
    for file, name in named:
        module = pkgutil.resolve_name(file.removesuffix(".py").replace("/", "."))
        assert Path(module.__file__) == ROOT / file
        assert not name or pkgutil.resolve_name(f"{module.__name__}:{name}"), file
    for row in re.findall(r"^\|.*`nmt/.*$", text, re.MULTILINE):  # the names in a row are in the row's files
        code = "".join((ROOT / file).read_text("utf-8") for file in re.findall(r"`(nmt/[\w/]+\.py)`", row))
        for name in re.findall(r"`(?:[A-Z]\w*\.)?(\w+)`", row):
            assert re.search(rf"^ *(?:class |def )?{name}\b", code, re.MULTILINE), (name, row)


@on_each_page(NOT_RUN_LINES)
def test_commands_that_are_not_run_name_what_is_there(codes: list[Code]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for code in codes:
        words = shlex.split(code.text, comments=True)
        for named in re.findall(r"(?:nmt|\.)\[([\w,]+)\]", code.text):
            assert set(named.split(",")) <= extras.keys(), code
        for before, word in itertools.pairwise(words):
            if word.startswith("tools/") and code.page.startswith("docs/lab-notes/"):
                break  # a diary names programs of its time
            if before == "-c" or word.startswith("tools/"):
                assert (ROOT / word).is_file(), code
            if word.startswith("--") and (tool := next((w for w in words if w.startswith("tools/")), None)):
                assert f'"{word.partition("=")[0]}"' in (ROOT / tool).read_text("utf-8"), code
        if "torchrun" in words and "nmt" in words:
            parsed = program()(words[words.index("nmt") + 1 :], standalone_mode=False)
            check_recipe(parsed["given"][0], parse_settings(parsed["settings"]))


@on_each_page(spans(r"nmt [a-z].*"))
def test_commands_in_paragraphs_have_their_options(codes: list[Code]) -> None:
    for code in codes:
        command, words = program(), code.text.split()[1:]
        while words and (inner := getattr(command, "commands", {})):
            assert words[0] in inner, code
            command = inner[words.pop(0)]
        options = {word.strip("[]") for word in words if word.startswith(("-", "[-"))}
        assert options <= options_of(command), code


def options_of(command: Any) -> set[str]:
    """The options of a command and of the commands in it."""
    own = {"--help"} | {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return own.union(*(options_of(inner) for inner in getattr(command, "commands", {}).values()))


OTHER_OPTIONS = {"--paired-bs", "--torch-backend", "--find-links", "--extra-index-url"}
"""Of sacreBLEU, uv and pip."""


@on_each_page(spans(r"--[a-z].*"))
def test_options_in_paragraphs_are_those_of_some_command(codes: list[Code]) -> None:
    known = {*options_of(program()), *OTHER_OPTIONS}
    for code in codes:
        option = re.split("[ =]", code.text)[0]
        if option not in known:
            tools = (ROOT / "tools").rglob("*.py")
            assert any(f'"{option}"' in tool.read_text("utf-8") for tool in tools), code


KEY = r"(?:data|vocabulary|model|training|decoding)(?:\.\w+)+"


@on_each_page(spans(rf"(?:--set )?{KEY}(?:=\S*)?(?: --set \S+)*"))
def test_keys_in_paragraphs_are_those_of_recipes(codes: list[Code]) -> None:
    for key in {key for code in codes for key in re.findall(KEY, code.text)}:
        if not key.endswith((".safetensors", ".model")):
            provided("recipe keys", "--keys")(key.removesuffix(".type"))


@pytest.mark.parametrize("code", [code for page in PAGES for code in found_in(page, r"^```yaml\n(.*?)^```")], ids=str)
def test_recipes_are_valid(code: Code, tmp_path: Path) -> None:
    groups = yaml12.load(code.text.replace(", …", ""))
    if "filters" in groups:  # of nmt clean
        from nmt.extensions.cleaning.check import make_filters
        from nmt.extensions.cleaning.clean import CleanSettings

        (tmp_path / "filters.yaml").write_text(code.text, "utf-8")
        assert make_filters(CleanSettings.read(tmp_path / "filters.yaml").filters)
        return
    check_recipe(
        "multi30k/transformer", {f"{name}.{key}": value for name, g in groups.items() for key, value in g.items()}
    )


def test_what_is_not_run_is_still_there() -> None:
    lines = [code.text for page in PAGES for code in lines_of(page)]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)] == []


def test_the_navigation_of_the_site_has_each_page() -> None:
    navigation = re.findall(r'"([\w/.-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8"))
    docs = ROOT / "docs"
    assert sorted(navigation) == sorted(page.relative_to(docs).as_posix() for page in docs.rglob("*.md"))


def test_lines_of_prose_have_at_most_140_characters() -> None:
    """Other than code, tables and pictures."""
    for page in [*DOCS, "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "recipes/README.md"]:
        prose = re.sub(r"(?ms)^\s*```.*?^\s*```|^\s*[|!].*?$", "", (ROOT / page).read_text("utf-8"))
        assert [line for line in prose.splitlines() if len(line) > 140] == [], page
