"""The Markdown extension of the site, where the packages that build it are installed."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_links_of_generated_pages_lead_to_pages_and_paths_in_tables_can_be_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    markdown = pytest.importorskip("markdown")
    pytest.importorskip("latex2mathml")
    monkeypatch.syspath_prepend(DOCS.parent / "tools" / "site")
    docs_site = pytest.importorskip("docs_site")
    for page in (docs_site.changelog(), docs_site.contributing()):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page)
        assert links
        assert [link for link in links if not (DOCS / "reference" / link).is_file()] == []
    table = "| a |\n| --- |\n| `x/y` in [b/c](d/e.md) $f/g$ |\n\nh/i"
    html = markdown.markdown(table, extensions=["tables", docs_site.makeExtension()])
    assert "x/<wbr>y" in html
    assert '<a href="d/e.md">b/<wbr>c</a>' in html
    assert html.count("<wbr>") == 2
