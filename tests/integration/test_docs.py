"""The code of the documentation runs on small data; keys and options in paragraphs exist, and recipes are valid."""

import gzip
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

import nmt
from nmt.cli import app
from nmt.cli.schema import recipe_keys
from nmt.data.vocabulary.base import SEPARATOR
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.filters.check import make_filters
from nmt.filters.clean import CleanSettings
from nmt.models.build import build_model
from nmt.recipe import yaml12
from nmt.recipe.load import load_recipe, parse_settings, shipped_recipes
from nmt.training.techniques import TECHNIQUES

ROOT = Path(__file__).resolve().parents[2]
OTHER_TOOLKITS = "docs/reference/from-"
"""Start of the names of pages whose code is mostly that of other toolkits."""
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", "recipes/README.md", *(p for p in DOCS if not p.startswith(OTHER_TOOLKITS))]


Models = Mapping[str, Path]


@dataclass(frozen=True)
class Code:
    """A fenced block, a command in one, or code in a paragraph."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def found_in(page: str, pattern: str) -> Iterator[Code]:
    """What the group of a pattern matches on a page."""
    text = (ROOT / page).read_text("utf-8")
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        if match[1]:
            yield Code(page, text.count("\n", 0, match.start(1)) + 1, match[1])


@cache
def blocks(language: str) -> list[Code]:
    """The fenced blocks in a language."""
    return [code for page in PAGES for code in found_in(page, rf"^```{language}\n(.*?)^```")]


def spans(pattern: str) -> list[Code]:
    """Code in paragraphs and tables that a pattern matches as a whole."""
    found = (code for page in PAGES for code in found_in(page, r"^```.*?^```|(?<!`)`([^`\n]+)`"))
    return [code for code in found if re.fullmatch(pattern, code.text)]


def lines_of(page: str) -> list[Code]:
    """The lines of a page's shell blocks, and what it types in a console; continued lines and loops are one."""
    found = []
    for code in found_in(page, r"^```(?:sh|console)\n(.*?)^```"):
        console = code.text.startswith("$ ")
        for match in re.finditer(r"^(?:for .*?^done|(?:[^\n]*\\\n)*[^\n]+)", code.text, re.MULTILINE | re.DOTALL):
            if not console or match[0].startswith("$ "):
                line = code.line + code.text.count("\n", 0, match.start())
                found.append(Code(page, line, match[0].removeprefix("$ ")))
    return found


NOT_RUN = {
    r"uv (?:tool|pip)|uvx|--install-completion": "installs into the user's folders",
    r"\.venv/bin|pip install|pre-commit|zensical": "installs packages or checks the repository; .ci/run does it",
    r"(?:cd |find |PYTHONPATH=)runtime": "makes a folder of installed packages smaller",
    r"--teacher http": "needs a large language model; see tests/cli/test_synthesis_teacher.py",
    r"docker": "needs Docker; tests/serving starts the same server",
    r"ray start|--ray": "needs a Ray cluster; tests/jobs/test_shards.py starts one",
    r"torchrun": "needs several GPUs or machines; tests/training/test_distributed.py trains with several processes",
    r"tools/experiments/compare_systems\.py": "trains two dozen systems; see tests/tools/experiments",
    r"tools/\w+/(chat_corpus|compare_dialogues|dialogue_answers)\.py": "needs the chat corpus; see tests/tools",
    r"tools/bench/": "measures for minutes, against other toolkits or with many clients",
    r"tools/experiments/markup_quality\.py": "measures for minutes; see tests/tools/experiments",
    r"tools/experiments/plan_quality\.py": "needs runs on several texts; see tests/tools/experiments",
    r"tools/experiments/placeholder_quality\.py": "needs the Python documentation; see tests/tools/experiments",
    r"tools/experiments/(?:check|damage|confidence|glossary|short)_quality\.py": "needs the corpora; see tests/tools",
    r"tools/experiments/language_detection\.py": "needs the corpora; see tests/tools",
    r"nmt calibrate|--confidence$|--abstain": "needs a model that translates well; see tests/cli/test_calibrate.py",
    r"nmt learn-corrections": "needs a hundred corrections; see tests/evaluation/test_corrections.py",
    r"sphinx-|LC_MESSAGES": "needs Sphinx and a documentation; see tests/cli/test_translate_documents.py",
    r"-o runs/transformer --resume": "continues a run that the page does not make",
    r"nmt import|models/": "needs the download of a model; tests/pretrained imports, fine-tunes and exports small ones",
    r"--to web|http\.server|web_pack\.py": "needs npm and a browser; see tests/export/test_web.py",
    r"examples/plain_loop\.py": "trains for a minute; tests/integration/test_examples.py runs it",
}
"""The commands that are not executed, and why."""
if not find_spec("ctranslate2"):
    NOT_RUN[r"nmt export|--engine ctranslate2"] = "needs CTranslate2, which is not installed"
if not find_spec("onnxruntime"):
    NOT_RUN[r"\.onnx"] = "needs onnxruntime, which is not installed"
if not find_spec("gensim"):
    NOT_RUN[r"nmt learn-vectors|vectors\.de|inspect words runs/own"] = "needs gensim, which is not installed"
if not shutil.which("curl"):
    NOT_RUN["curl"] = "is not installed"


def is_run(code: Code) -> bool:
    without_comment = re.sub(r"\s#.*", "", code.text)
    return not any(re.search(pattern, without_comment) for pattern in NOT_RUN)


@cache
def program() -> Any:
    """The command line, where every command answers with its parsed arguments and does nothing."""

    def silence(command: Any) -> Any:
        for inner in getattr(command, "commands", {}).values():
            silence(inner)
        if not getattr(command, "commands", {}):
            command.callback = lambda **parsed: parsed
        return command

    return silence(typer.main.get_command(app))


@cache
def vocabularies() -> Vocabularies:
    joint = WordVocabulary([SEPARATOR, "▁a", "▁b"])
    return Vocabularies(joint, joint)


def check_recipe(name: str, overrides: Mapping[str, Any]) -> None:
    """A recipe with overrides is valid, and so are the options of its components."""
    recipe = load_recipe(name, overrides)
    TECHNIQUES.choose_many(recipe.training.techniques, "training.techniques")
    build_model(recipe.model, vocabularies())


NOT_RUN_LINES = [code for page in PAGES for code in lines_of(page) if not is_run(code)]


def test_the_pages_have_code() -> None:
    assert sum(map(len, map(lines_of, PAGES))) > 100
    assert len(blocks("python")) >= 3
    assert len(blocks("yaml")) >= 3


def test_the_table_of_recipes_has_all() -> None:
    table = (ROOT / "recipes" / "README.md").read_text("utf-8")
    described, _, figures = table.partition("## Figures")
    for part in (described, figures):
        unnamed = [name for name in shipped_recipes() if name.rpartition("/")[2] not in part]
        assert [name for name in unnamed if part is described or not name.startswith("bench/")] == []


def test_the_rows_from_lectures_to_the_code_name_what_is_there() -> None:
    page = ROOT / "docs" / "concepts" / "lectures.md"
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines_between_bars(page)]
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


def lines_between_bars(page: Path) -> list[str]:
    """The rows of the tables of a page, without their heads."""
    lines = page.read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and not line.startswith(("| ---", "| topic "))]


@pytest.mark.parametrize("code", NOT_RUN_LINES, ids=str)
def test_commands_that_are_not_run_name_what_is_there(code: Code) -> None:
    words = shlex.split(code.text, comments=True)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for extra in re.findall(r"(?:nmt|\.)\[(\w+)\]", code.text):
        assert extra in extras
    for before, word in itertools.pairwise(words):
        if before == "-c" or word.startswith("tools/"):
            assert (ROOT / word).is_file()
        if word.startswith("--") and (tool := next((w for w in words if w.startswith("tools/")), None)):
            assert f'"{word.partition("=")[0]}"' in (ROOT / tool).read_text("utf-8")
    if "torchrun" in words and "nmt" in words:
        parsed = program()(words[words.index("nmt") + 1 :], standalone_mode=False)
        check_recipe(str(parsed["recipe"]), parse_settings(parsed["settings"]))


@pytest.mark.parametrize("code", spans(r"nmt [a-z].*"), ids=str)
def test_commands_in_paragraphs_have_their_options(code: Code) -> None:
    command, words = program(), code.text.split()[1:]
    while words and (inner := getattr(command, "commands", {})):
        assert words[0] in inner
        command = inner[words.pop(0)]
    assert {word.strip("[]") for word in words if word.startswith(("-", "[-"))} <= options_of(command)


def options_of(command: Any) -> set[str]:
    """The options of a command and of the commands in it."""
    own = {"--help"} | {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return own.union(*(options_of(inner) for inner in getattr(command, "commands", {}).values()))


OTHER_OPTIONS = {"--paired-bs", "--torch-backend", "--find-links"}
"""Of sacreBLEU and uv."""


@pytest.mark.parametrize("code", spans(r"--[a-z].*"), ids=str)
def test_options_in_paragraphs_are_those_of_some_command(code: Code) -> None:
    option = re.split("[ =]", code.text)[0]
    if option not in {*options_of(program()), *OTHER_OPTIONS}:
        assert any(f'"{option}"' in tool.read_text("utf-8") for tool in (ROOT / "tools").rglob("*.py"))


KEY = r"(?:data|vocabulary|model|training|decoding)(?:\.\w+)+"


@pytest.mark.parametrize("code", spans(rf"(?:--set )?{KEY}(?:=\S*)?(?: --set \S+)*"), ids=str)
def test_keys_in_paragraphs_are_those_of_recipes(code: Code) -> None:
    for key in re.findall(KEY, code.text):
        if not key.endswith((".safetensors", ".model")):
            recipe_keys(key.removesuffix(".type"))


@pytest.mark.parametrize("code", blocks("yaml"), ids=str)
def test_recipes_are_valid(code: Code, tmp_path: Path) -> None:
    groups = yaml12.load(code.text.replace(", …", ""))
    if "filters" in groups:  # of nmt clean
        (tmp_path / "filters.yaml").write_text(code.text, "utf-8")
        assert make_filters(CleanSettings.read(tmp_path / "filters.yaml").filters)
        return
    check_recipe(
        "multi30k/transformer", {f"{name}.{key}": value for name, g in groups.items() for key, value in g.items()}
    )


def test_what_is_not_run_is_still_there() -> None:
    lines = [code.text for page in PAGES for code in lines_of(page)]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)] == []


@pytest.fixture(scope="session")
def programs(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nmt, python and curl, which run on a small scale: see ``documented_program.py``."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("nmt", "python", "curl"):
        program = shlex.join(["exec", str(python), str(ROOT / "tests" / "support" / "documented_program.py"), name])
        (folder / name).write_text(f'#!/bin/sh\n{program} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


SMALL_TRANSFORMER = {
    "model.embedding_size": 8, "model.encoder.feed_forward_size": 16, "model.decoder.feed_forward_size": 16,
    "vocabulary.size": 100, "training.max_steps": 5, "training.max_epochs": None, "training.batch_tokens": 256,
    "training.validate_every": 1, "training.validation_size": 1, "training.keep_last": 5, "training.keep_best": 5,
    "decoding.max_length": 20, "training.precision": "fp32",
}  # fmt: skip
NUM_LINES = 12


@pytest.fixture(scope="session")
def models(train_tiny: Callable[..., Path], tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The model directories that pages take for granted, by a pattern of their names."""
    folder = tmp_path_factory.mktemp("models")
    overrides = SMALL_TRANSFORMER | {"data.root": str(tiny_corpus)}
    ntm = "{type: ntm, hidden_size: 16, slot_size: 8}"
    return {
        "ntm": train_tiny("training.max_steps=1", f"model.encoder={ntm}", f"model.decoder={ntm}", shared="docs_ntm"),
        "words|rnn|lstm": train_tiny("training.max_steps=1", shared="docs_words"),
        "": nmt.train("multi30k/transformer", folder / "transformer", overrides=overrides),
    }


def put_in_place(name: str, corpus: Path, models: Models) -> None:
    """Make the file or the model directory that a command reads, unless it is there."""
    path = Path(name)
    if path.exists() or ("/" not in name and not path.suffix):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parts[0] == "runs" or name == "quickstart/model":
        shutil.copytree(next(model for pattern, model in models.items() if re.search(pattern, name)), path)
        if languages := re.fullmatch(r"(\w\w)-(\w\w)", path.name):
            recipe = (path / "recipe.yaml").read_text("utf-8")
            for key, language in zip(("source", "target"), languages.groups(), strict=True):
                recipe = re.sub(rf"(?m)^  {key}: (de|en)$", f"  {key}: {language}", recipe)
            (path / "recipe.yaml").write_text(recipe, "utf-8")
    elif path.suffix in (".de", ".en", ".fr", ".fi", ".et", ".prompt", ".response"):
        side = "de" if path.suffix in (".de", ".fi", ".prompt") else "en"
        lines = (corpus / f"train.{side}").read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines if path.stem in ("train", "texts") else lines[:NUM_LINES]))
    elif path.suffix in (".pharaoh", ".links", ".sure", ".possible"):
        path.write_text("0-0\n" * NUM_LINES)
    elif path.suffix == ".model":
        shutil.copyfile(models[""] / "vocabulary.model", path)
    elif "300" in path.name:  # word vectors
        with (gzip.open if path.suffix == ".gz" else open)(path, "wt") as file:
            file.writelines(f"{word}{' 0.1' * 300}\n" for word in ("Hund", "dog"))
    elif path.suffix == ".html":
        path.write_text("<p>Der <b>Hund</b> schläft.</p>", encoding="utf-8")
    elif path.suffix == ".tsv":
        path.write_text("hund\tdog\t5\n")


WRITTEN_BY = {"-o", "--output", "--html", ">"}


def words_of(line: str) -> list[str]:
    words = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
    words.whitespace_split = True
    return [part for word in words for part in re.split(r"[=\s,{}]+", word) if part]


def python_of(page: str) -> str:
    """The Python blocks of a page as one program, whose lines have the numbers of the page's."""
    lines: list[str] = []
    for code in found_in(page, r"^```python\n(.*?)^```"):
        packages = {"ctranslate2": "ctranslate2", "nmt.runtime": "onnxruntime"}
        if all(find_spec(package) for use, package in packages.items() if use in code.text):
            lines += [""] * (code.line - 1 - len(lines)) + code.text.splitlines()
    return "".join(f"{line}\n" for line in lines)


SLOW = (
    "docs/concepts/act", "docs/concepts/language", "docs/concepts/ntm", "docs/data", "docs/how-to/align",
    "docs/how-to/compare", "docs/how-to/shards", "docs/how-to/translate.md", "docs/lab-notes",
    "docs/tutorials/attention", "docs/tutorials/first-hour", "docs/tutorials/low",
)  # fmt: skip


def pages_with_code() -> Iterator[Any]:
    """The pages with something to run; the longest are marked as slow."""
    for page in PAGES:
        if any(map(is_run, lines_of(page))) or python_of(page):
            yield pytest.param(page, marks=[pytest.mark.slow] if page.startswith(SLOW) else [])


@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have imported PyTorch")
@pytest.mark.parametrize("page", list(pages_with_code()))
def test_a_page_runs(
    page: str, programs: Path, models: Models, tiny_corpus: Path, repo_root: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The shell commands of a page from the first to the last, and then its Python."""
    monkeypatch.chdir(tmp_path)
    for name in ("tools", "examples"):
        Path(name).symlink_to(repo_root / name)
    shutil.copytree(tiny_corpus, "FOLDER")
    for path in sorted(Path("FOLDER").iterdir()):
        put_in_place(f"chat/{path.stem}.{'prompt' if path.suffix == '.de' else 'response'}", tiny_corpus, models)
    program = python_of(page)
    if "COMPONENTS = " in program:
        Path("mgu.py").write_text(next(c.text for c in blocks("python") if "COMPONENTS = " in c.text), "utf-8")
    lines = [code for code in lines_of(page) if is_run(code)]
    written = {
        word
        for code in lines
        for before, word in itertools.pairwise(words_of(code.text))
        if before in WRITTEN_BY and "--resume" not in code.text
    }
    written |= {word for code in lines if code.text.startswith("mkdir ") for word in words_of(code.text)}
    for code in lines:
        for word in words_of(code.text):
            if not any(Path(word).is_relative_to(name) for name in written):
                put_in_place(word, tiny_corpus, models)
        execute(["bash", "-euo", "pipefail", "-c", code.text], programs, code, "check-data" in code.text)
    for word in re.findall(r'(?:load\(|"translate", |read_lines\()"([^"]+)"', program):
        if f'", "{word}"' not in program:  # what nmt.train writes
            put_in_place(word, tiny_corpus, models)
    if program:
        Path("page.py").write_text(program, "utf-8")
        execute(["python", "page.py"], programs, page, False)


def execute(command: list[str], programs: Path, place: object, may_find_problems: bool) -> None:
    """Run a command with the small programs; it has to succeed."""
    done = subprocess.run(
        command, env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}, capture_output=True, text=True,
        timeout=600, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode in (0, may_find_problems), f"{place}: {command[-1]}\n{done.stdout}\n{done.stderr}"
