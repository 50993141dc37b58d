"""The Markdown extension of the documentation site: equations, and the pages that are generated from the code.

``zensical.toml`` names this module, so it must be importable when the site is built, and nmt too:

    PYTHONPATH=tools/site zensical build --strict
    PYTHONPATH=tools/site zensical serve

- ``$…$`` and ``$$…$$`` hold LaTeX, as on GitHub. It becomes MathML, so that a page needs no script for it.
- A line ``<!-- generated: NAME -->`` is replaced by what the function NAME of :data:`GENERATED` returns.
- A line ``<!-- ::: NAME [MEMBER, …] -->`` is replaced by the docstrings of a class or a module, by mkdocstrings. As a
  comment it is invisible where Markdown is shown without the site.
- The roles of docstrings, such as ``:class:`Encoder```, are shown as code.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from markdown.postprocessors import Postprocessor
from markdown.preprocessors import Preprocessor

ROOT = Path(__file__).resolve().parents[2]
MARKER = re.compile(r"<!-- generated: (\w+) -->")
DOCSTRINGS = re.compile(r"<!-- ::: (\S+)( \[.*\])? -->")


def commands() -> str:
    """The command line: a section for each command, from Typer."""
    from typer.main import get_command

    from nmt.cli import app

    return "\n".join(_command_sections(get_command(app), "nmt", 1))


def _command_sections(command: Any, name: str, level: int) -> Iterator[str]:
    from nmt.cli.help import sections

    if level > 1:
        yield f"\n{'#' * level} {name}\n\n{_text(command.help)}\n"
    with command.make_context(name, [], resilient_parsing=True) as context:
        groups = sections(command, context)
    for title, records in groups.items():
        rows = [(f"`{flags.strip('{}')}`", _text(meaning)) for flags, meaning in records if "--help" not in flags]
        if rows:
            yield _table((title, "meaning"), rows)
    if level > 1 and command.epilog:
        lines = command.epilog.replace("\b", "").strip().splitlines()[1:]
        yield "\n```sh\n" + "\n".join(line.strip() for line in lines) + "\n```\n"
    for inner in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from _command_sections(command.get_command(None, inner), f"{name} {inner}", 2 if level == 1 else 3)


def keys() -> str:
    """The keys of recipes: a table for each part and each component, from the schema."""
    from nmt.extensions.editors.keys import recipe_keys

    sections: dict[str, list[tuple[str, ...]]] = {}
    for part in ("", "model.encoder.cell", "model.decoder.attention"):
        for key in recipe_keys(part):
            if part and not key.component.startswith(part):
                continue
            group = key.component or (key.name.partition(".")[0] if "." in key.name else "")
            section = f"`{group}`" if group else "Top level"
            default = "required" if key.default is None else f"`{key.default}`"
            sections.setdefault(section, []).append((f"`{key.name}`", key.kind, default, _text(key.meaning)))
    parts = [f"\n## {name}\n\n{_table(('key', 'type', 'default', 'meaning'), rows)}" for name, rows in sections.items()]
    return "\n".join(parts)


def recipes() -> str:
    """The recipes that come with the package, with their descriptions."""
    from nmt.recipe.load import load_recipe, shipped_recipes

    return _table(("recipe", "what it trains"), [(f"`{n}`", load_recipe(n).description) for n in shipped_recipes()])


def layout() -> str:
    """The modules of the package, with the first sentence of each one's docstring."""
    sections = []
    package = ROOT / "nmt"
    for folder in (package, *sorted(path for path in package.rglob("*") if (path / "__init__.py").exists())):
        rows = [(f"`{path.name}`", summary) for path in sorted(folder.glob("*.py")) if (summary := _summary(path))]
        if rows:
            sections.append(f"\n## `{folder.relative_to(ROOT)}/`\n\n{_table(('module', 'contents'), rows)}")
    return "\n".join(sections)


def _summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return _text(re.split(r"(?<=\.)\s", docstring, maxsplit=1)[0])


def changelog() -> str:
    """CHANGELOG.md without its title."""
    return _page_of_root("CHANGELOG.md")


def contributing() -> str:
    """CONTRIBUTING.md without its title."""
    return _page_of_root("CONTRIBUTING.md")


def _page_of_root(name: str) -> str:
    """A page of the repository's root without its title, with links as from ``docs/reference``."""
    text = (ROOT / name).read_text("utf-8").partition("\n")[2].replace("](docs/", "](../")
    return re.sub(r"\]\((CHANGELOG|CONTRIBUTING)\.md", lambda link: link[0].lower(), text)  # the pages of these two


GENERATED: dict[str, Callable[[], str]] = {
    function.__name__: function for function in (commands, keys, recipes, layout, changelog, contributing)
}


def _text(text: str) -> str:
    """Text from the code as Markdown on one line for each paragraph."""
    text = re.sub(r"``(.+?)``", r"`\1`", text or "")
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(_outside_code(cell.replace("\n", " ")) for cell in cells) + " |"

    return "\n".join((line(head), line(("---",) * len(head)), *map(line, rows))) + "\n"


def _outside_code(cell: str) -> str:
    """Escape what Markdown would take for the end of a cell, for markup or for HTML, but not in code."""
    parts = re.split(r"(`[^`]*`)", cell)  # every second part is code
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"([|*_{])", r"\\\1", parts[index]).replace("<", "&lt;")
    return "".join(parts)


class _Generated(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        written = []
        for line in lines:
            if marker := MARKER.fullmatch(line.strip()):
                written += GENERATED[marker[1]]().split("\n")
            elif marker := DOCSTRINGS.fullmatch(line.strip()):
                members = ["    options:", f"      members:{marker[2]}"] if marker[2] else []
                written += ["", f"::: {marker[1]}", *members, ""]
            else:
                written.append(line)
        return written


class _Equation(InlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Any, int, int]:  # type: ignore[override]
        display = "block" if m[1] == "$$" else "inline"
        return self.md.htmlStash.store(convert(m[2].strip(), display=display)), m.start(0), m.end(0)


class _Role(InlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str, int, int]:  # type: ignore[override]
        return "", m.start(0), m.end(0)


class _Breaks(Postprocessor):
    """Lets the paths in a table be broken at their slashes: as long words they made tables wider than the page."""

    def run(self, text: str) -> str:
        return re.sub(r"(?s)<td.*?</td>", lambda cell: re.sub(r"(?<=\w)/(?=\w)(?![^<]*>)", "/<wbr>", cell[0]), text)


class DocsExtension(Extension):
    """Registers the processors."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(_Generated(md), "generated", 100)  # before fenced code, which it may contain
        md.inlinePatterns.register(_Equation(r"(\$\$?)((?:(?!\$).)+?)\1", md), "equation", 186)  # after code spans
        md.inlinePatterns.register(_Role(r":(?:class|meth|func|data|mod|attr|exc):(?=`)", md), "role", 191)
        md.postprocessors.register(_Breaks(md), "breaks", 5)  # after code and equations are in their places


def makeExtension(**options: Any) -> DocsExtension:
    """The entry point that Markdown looks for."""
    return DocsExtension(**options)
