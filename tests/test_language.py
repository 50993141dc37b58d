"""Rules of style that a program can check, over docstrings, comments, help texts, messages and pages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "nmt").rglob("*.py"))
PAGES = ["README.md", "CONTRIBUTING.md"]
PAGES += sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if "lab-notes" not in path.parts
)

FIRST_WORDS = re.compile(r"(?:Of|What|That|Those|As|How|Which|Who|Than)\b")
"""A docstring begins with a verb or a noun; "Whether …" describes a boolean."""
BANNED = re.compile(
    r"\b(?:so many|for best|plainly|no news|seams?|crews?|hire[ds]?|speaks? for all|by heart|know nothing of"
    r"|knows nothing of|came about|no room|of equals|goes wrong|went wrong|learnt|hardly longer|than which"
    r"|is there no|are there no|carr(?:y|ies) out orders)\b",
    re.IGNORECASE,
)
"""Words of the style that was given up; use the terms of docs/reference/glossary.md."""


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and texts of the docstrings of a module, and of the texts that follow its constants."""
    for node in ast.walk(tree):
        for child in getattr(node, "body", ()) if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            value = child.value if isinstance(child, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield child.lineno, value.value


def problems_of_code(text: str) -> list[str]:
    """The sentences of a module that break a rule, each with its line."""
    found = []
    for line, docstring in docstrings(ast.parse(text)):
        first = docstring.strip().split("\n\n")[0]
        if FIRST_WORDS.match(first):
            found.append(f"{line}: begins with {first.split()[0]!r}")
        if not re.search(r"[.:!?…](?:\s+[\[(][^])]*[])],?)*$", first.rstrip()):  # a shape may follow: [B, S]
            found.append(f"{line}: the first paragraph has no period")
    return found + problems_of_text(text)


def problems_of_text(text: str) -> list[str]:
    """The banned words and double spaces of a text, each with its line."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        found += [f"{number}: {word!r}" for word in BANNED.findall(line)]
        if re.search(r"\w[.;] {2,}[A-Z]", line):
            found.append(f"{number}: two spaces")
    return found


def problems_of(name: str) -> list[str]:
    text = (ROOT / name).read_text("utf-8")
    if name.endswith(".py"):
        return problems_of_code(text)
    return problems_of_text(re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S))


@pytest.mark.parametrize("name", [*FILES, *PAGES])
def test_the_language_is_plain(name: str) -> None:
    assert problems_of(name) == []


@pytest.mark.parametrize(
    "text",
    [
        '"""Of an empty line."""',
        '"""What it is."""',
        '"""Returns a line"""',
        'def f():\n    """That is all."""',
        'class A:\n    x = 1\n    """How many."""',
        '"""Returns a line.  It is long."""',
        "x = 1  # no news",
    ],
)
def test_the_rules_find_what_they_are_for(text: str) -> None:
    assert problems_of_code(text)


def test_plain_language_passes() -> None:
    assert not problems_of_code(
        '"""Returns the number of lines.\n\nBlank lines count."""\nx = 1\n"""Whether it is on."""'
    )
