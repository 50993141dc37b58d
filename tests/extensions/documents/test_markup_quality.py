"""How well tags come back, measured."""

from pathlib import Path

import pytest
from fixture_types import LoadTool


@pytest.mark.slow
@pytest.mark.parametrize(("corpus", "least"), [("embedded", 0.99), ("gold", 0.97)])
def test_known_links_bring_tags_back(corpus: str, least: float, load_tool: LoadTool, shared_data: Path) -> None:
    tool = load_tool("experiments/markup_quality")
    pairs = tool.embedded_pairs() if corpus == "embedded" else tool.gold_pairs(shared_data / "gold", "de", "en")
    known = tool.measure(pairs, tool.known_links, 300)
    assert known.f1 > least
    assert known.f1 > tool.measure(pairs, tool.position_links, 300).f1 + 0.1


@pytest.mark.slow
def test_random_documents_stay_legal(load_tool: LoadTool) -> None:
    assert load_tool("experiments/markup_quality").check_documents(150) == []
