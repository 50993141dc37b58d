"""Rules of style that a program can check, over docstrings, comments, help texts, messages and pages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BANNED = re.compile(
    r"\b(?:so many|for best|plainly|no news|seams?|crews?|hire[ds]?|speaks? for all|by heart|know nothing of"
    r"|knows nothing of|came about|no room|of equals|goes wrong|went wrong|learnt|hardly longer|than which"
    r"|is there no|are there no|carr(?:y|ies) out orders)\b|\w[.;] {2,}[A-Z]",
    re.IGNORECASE,
)
"""Words of the style that was given up, for which docs/reference/glossary.md has terms, and double spaces."""


def problems_of_text(text: str) -> list[str]:
    return [
        f"{number}: {word!r}" for number, line in enumerate(text.splitlines(), start=1) for word in BANNED.findall(line)
    ]


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and texts of the docstrings of a module, and of the texts that follow its constants."""
    for node in ast.walk(tree):
        for child in getattr(node, "body", ()) if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            value = child.value if isinstance(child, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield child.lineno, value.value


def test_text_and_docstrings_follow_the_rules() -> None:
    problems = {}
    for path in sorted((ROOT / "nmt").rglob("*.py")):
        text = path.read_text("utf-8")
        summaries = (
            (line, docstring.strip().split("\n\n")[0].rstrip()) for line, docstring in docstrings(ast.parse(text))
        )
        unfinished = [
            f"{line}: the first paragraph has no period"
            for line, summary in summaries
            if not re.search(r"[.:!?…](?:\s+[\[(][^])]*[])],?)*$", summary)  # a shape may follow: [B, S]
        ]
        problems[path] = unfinished + problems_of_text(text)
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for path in (page for page in pages if "lab-notes" not in page.parts):
        text = re.sub(
            r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), path.read_text("utf-8"), flags=re.M | re.S
        )
        problems[path] = problems_of_text(text)
    assert len(problems) > 100
    assert {path.relative_to(ROOT).as_posix(): found for path, found in problems.items() if found} == {}
