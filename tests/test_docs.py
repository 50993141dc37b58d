"""The code of the documentation: commands parse, recipes are valid, keys and options exist, Python runs."""

import ast
import inspect
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import nmt
from nmt import plugins, yaml12
from nmt.cli import app
from nmt.cli.schema import recipe_keys
from nmt.data.vocabulary import SEPARATOR, Vocabularies, WordVocabulary
from nmt.models.build import build_model
from nmt.recipe import load_recipe, parse_settings
from nmt.training.techniques import TECHNIQUES

ROOT = Path(__file__).resolve().parent.parent
OTHER_TOOLKITS = "docs/reference/from-"
"""Start of the names of pages whose code is mostly that of other toolkits."""
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", "recipes/README.md", *(p for p in DOCS if not p.startswith(OTHER_TOOLKITS))]


WRITTEN = {"mine.yaml": "multi30k/luong"}
"""Recipes that a page tells the reader to make, and those that they are copies of."""


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


def commands() -> Iterator[Code]:
    """The simple commands of shell blocks: continued lines are joined, pipes and lists of commands split."""
    for block in blocks("sh"):
        start, joined = block.line, ""
        for number, line in enumerate(block.text.splitlines(), block.line):
            start = start if joined else number
            joined += line.removesuffix("\\")
            if line.endswith("\\"):
                continue
            words = shlex.shlex(joined, posix=True, punctuation_chars="|&;<>")
            words.whitespace_split = True
            simple: list[str] = []
            for word in [*words, ";"]:
                if set(word) <= set("|&;<>"):
                    yield Code(block.page, start, shlex.join(simple))
                    simple = []
                else:
                    simple.append(word)
            joined = ""


def arguments_of_nmt(words: list[str]) -> list[str] | None:
    """What follows the program's name; None for other programs."""
    for start, word in enumerate(words):
        if Path(word).name == "nmt" and (start == 0 or words[start - 1] == "-m"):
            return words[start + 1 :]
    return None


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
    recipe = load_recipe(WRITTEN.get(name, name), overrides)
    TECHNIQUES.choose_many(recipe.training.techniques, "training.techniques")
    build_model(recipe.model, vocabularies())


NMT_COMMANDS = [code for code in commands() if arguments_of_nmt(shlex.split(code.text)) is not None]


def test_the_pages_have_code() -> None:
    assert len(NMT_COMMANDS) > 40
    assert len(blocks("python")) >= 3
    assert len(blocks("yaml")) >= 3


@pytest.fixture
def plugins_of_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules that pages tell the reader to write, in the current folder."""
    (tmp_path / "mgu.py").write_text(
        next(code.text for code in blocks("python") if "COMPONENTS =" in code.text), "utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "_added", dict(plugins._added))
    monkeypatch.setattr(plugins, "_modules", set(plugins._modules))


@pytest.mark.usefixtures("plugins_of_pages")
@pytest.mark.parametrize("code", NMT_COMMANDS, ids=str)
def test_commands_parse_and_their_recipes_are_valid(code: Code) -> None:
    words = arguments_of_nmt(shlex.split(code.text))
    assert words
    parsed = program()(words, standalone_mode=False)
    overrides = parse_settings(parsed.get("settings") or ())
    for key in overrides:
        recipe_keys(key)
    if words[0] == "train" and "--resume" not in words:
        check_recipe(str(parsed["recipe"]), overrides)


@pytest.mark.parametrize("code", [code for code in commands() if code not in NMT_COMMANDS], ids=str)
def test_other_commands_name_what_is_there(code: Code) -> None:
    words = shlex.split(code.text)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for extra in re.findall(r"(?:nmt|\.)\[(\w+)\]", code.text):
        assert extra in extras
    for before, word in zip(["", *words], words, strict=False):
        if before == "-c" or word.startswith("tools/"):
            assert (ROOT / word).is_file()
        if word.startswith("--") and (tool := next((w for w in words if w.startswith("tools/")), None)):
            assert f'"{word.partition("=")[0]}"' in (ROOT / tool).read_text("utf-8")


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


@pytest.mark.parametrize("code", spans(r"--[a-z].*"), ids=str)
def test_options_in_paragraphs_are_those_of_some_command(code: Code) -> None:
    option = re.split("[ =]", code.text)[0]
    if option not in {*options_of(program()), "--paired-bs"}:  # that one is sacrebleu's
        assert any(f'"{option}"' in tool.read_text("utf-8") for tool in (ROOT / "tools").rglob("*.py"))


KEY = r"(?:data|vocabulary|model|training|decoding)(?:\.\w+)+"


@pytest.mark.parametrize("code", spans(rf"(?:--set )?{KEY}(?:=\S*)?(?: --set \S+)*"), ids=str)
def test_keys_in_paragraphs_are_those_of_recipes(code: Code) -> None:
    for key in re.findall(KEY, code.text):
        if not key.endswith((".safetensors", ".model")):
            recipe_keys(key.removesuffix(".type"))


@pytest.mark.parametrize("code", blocks("yaml"), ids=str)
def test_recipes_are_valid(code: Code) -> None:
    groups = yaml12.load(code.text.replace(", …", ""))
    check_recipe(
        "multi30k/transformer", {f"{name}.{key}": value for name, g in groups.items() for key, value in g.items()}
    )


@pytest.fixture
def small_data(tiny_model: Path, tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the pages name, in the current folder; training is checked and not done."""
    real = inspect.signature(nmt.train)

    def train(*given: Any, **named: Any) -> None:
        arguments = real.bind(*given, **named).arguments
        check_recipe(arguments["recipe"], arguments.get("overrides", {}))

    shutil.copytree(tiny_model, tmp_path / "runs" / "de-en")
    (tmp_path / "big.de").write_bytes((tiny_corpus / "val.de").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nmt, "train", train, raising=False)


PYTHON_PAGES = sorted({code.page for code in blocks("python")})
OUTSIDE = {"subprocess", "ctranslate2"}
"""Modules of blocks that aren't run: they need an installed program, or a model in another format."""


@pytest.mark.usefixtures("small_data")
@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_runs(page: str) -> None:
    names: dict[str, Any] = {}
    for code in blocks("python"):
        if code.page != page:
            continue
        tree = ast.parse("\n" * (code.line - 1) + code.text, code.page)  # a traceback has the line of the page
        imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        if not imported & OUTSIDE:
            exec(compile(tree, code.page, "exec"), names)


NOT_RUN = {"train", "quickstart", "serve", "average", "export", "--interactive", "--resume", "--plugin"}
"""What only parses here: it takes minutes, never ends, or needs many checkpoints, a terminal or a Transformer."""

NUM_LINES = 12


@pytest.fixture(scope="module")
def ntm_model(train_tiny: Callable[..., Path]) -> Path:
    ntm = "{type: ntm, hidden_size: 16, slot_size: 8}"
    return train_tiny("training.max_steps=1", f"model.encoder={ntm}", f"model.decoder={ntm}")


def put_in_place(name: str, corpus: Path, models: Mapping[bool, Path]) -> None:
    """Make the file or the model directory that a command names, unless an earlier command has made it."""
    path = Path(name)
    if path.exists() or ("/" not in name and not path.suffix):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parts[0] == "runs" or name == "quickstart/model":
        shutil.copytree(models["ntm" in name], path)
    elif path.suffix in (".de", ".en", ".prompt"):
        lines = (corpus / f"train.{'de' if path.suffix == '.de' else 'en'}").read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:NUM_LINES]))
    elif path.suffix in (".pharaoh", ".links", ".sure", ".possible"):
        path.write_text("0-0\n" * NUM_LINES)
    elif path.suffix == ".tsv":
        path.write_text("hund\tdog\t1\n")


@pytest.mark.parametrize(
    "page", sorted({code.page for code in NMT_COMMANDS if not NOT_RUN & set(shlex.split(code.text))})
)
def test_commands_run_on_small_data(
    page: str, run_nmt: Any, tiny_model: Path, ntm_model: Path, tiny_corpus: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_corpus, "FOLDER")
    output = ""  # of the command before
    for code in commands():
        words = shlex.split(code.text)
        arguments = arguments_of_nmt(words) or []
        if code.page != page or NOT_RUN & set(arguments):
            continue
        for before, word in zip(["", *words], words, strict=False):
            if before not in ("-o", "--output", "--html"):
                put_in_place(word, tiny_corpus, {False: tiny_model, True: ntm_model})
        if words[:1] == ["echo"]:
            output = f"{words[1]}\n"
        elif words[:1] == ["cat"]:
            output = Path(words[1]).read_text("utf-8")
        elif arguments:
            done = run_nmt(*arguments, stdin=output)
            assert done.returncode == 0 or arguments[0] == "check-data", f"{code} {code.text}\n{done.stderr}"
            output = done.stdout
