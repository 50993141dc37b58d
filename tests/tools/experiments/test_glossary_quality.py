"""The glossary that is made from a training text, and what it changes."""

from collections.abc import Callable, Sequence
from types import ModuleType

import pytest

from nmt.documents.glossary import Glossary
from nmt.translation.request import Request
from nmt.translation.results import Translation


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("experiments/glossary_quality")


def test_terms_have_one_translation(tool: ModuleType) -> None:
    pairs = [("the first branch", "der erste Zweig")] * 30
    pairs += [("a match was found", ("ein Streichholz brannte", "ein Treffer kam")[at % 2]) for at in range(40)]
    pairs += [("this argument is rare", "dieses Argument fehlt")] * 19
    pairs += [(f"other{at} things", f"andere{at} Dinge") for at in range(2_000)]
    terms = tool.terms_of(pairs, 0.7)
    assert terms["branch"] in ("zweig", "erste")
    assert not {"match", "argument", "things"} & terms.keys()  # two translations; too rare; too common


def test_terms_are_counted_where_the_reference_has_them(tool: ModuleType) -> None:
    def search(requests: Sequence[Request]) -> list[Translation]:
        return [Translation(each.source, " ".join(["ein Ast", *each.must_contain]), 0.0, []) for each in requests]

    sources, references = ("a branch", "one branch"), ("ein Zweig", "eine Filiale")
    rows = list(tool.rows(Glossary({"branch": "Zweig"}), sources, references, search))
    assert [row[:3] for row in rows] == [("without", "0 of 1", "0.0%"), ("with", "1 of 1", "100.0%")]
