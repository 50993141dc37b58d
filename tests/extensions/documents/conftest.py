"""What the tests of documents share."""

from collections.abc import Callable, Sequence

import pytest
from backwards import translate

from nmt.extensions.documents.formats import report_on, translate_document
from nmt.extensions.documents.markup import Translate
from nmt.extensions.documents.selection import Report
from nmt.translation.results import Translation

W, A, X, P, C = (
    f'xmlns{prefix}="http://schemas.openxmlformats.org/{name}/2006/{what}"'
    for prefix, name, what in (
        (":w", "wordprocessingml", "main"), (":a", "drawingml", "main"), ("", "spreadsheetml", "main"),
        (":p", "presentationml", "main"), (":c", "drawingml", "chart"),
    )
)  # fmt: skip
ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
)


@pytest.fixture(scope="session", autouse=True)
def _packages() -> None:
    """Skips the tests where a package of the extra is missing."""
    for name in ("lxml", "polib", "markdown_it"):
        pytest.importorskip(name)


def translated(name: str, text: str, *only: str) -> str:
    """Returns a translated file; its report counts as many texts as that of the result."""
    report = Report()
    data = translate_document(name, text.encode(), translate, "de", "en", only=only, report=report)
    assert report.total == report_on(name, data, only).total
    return data.decode()


def by(
    change: Callable[[str], str], links: tuple[tuple[int, int], ...] | None = None, in_order: bool = False
) -> Translate:
    """Returns a model that changes each sentence as a function does; ``in_order`` links words at the same positions."""

    def translate(sentences: Sequence[str]) -> list[Translation]:
        words = [tuple((n, n) for n in range(len(each.split()))) if in_order else links for each in sentences]
        pairs = zip(sentences, words, strict=True)
        return [Translation(each, change(each), 0.0, [], alignment=own) for each, own in pairs]

    return translate
