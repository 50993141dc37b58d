"""Fragments of text have the number of words that was asked for."""

from collections.abc import Callable
from types import ModuleType


def test_fragments_have_their_size(load_tool: Callable[[str], ModuleType]) -> None:
    tool = load_tool("experiments/language_detection")
    lines = ["Ein Hund, der im Garten schläft, träumt.", "Kurz."]
    for size in tool.SIZES:
        found = list(tool.fragments(lines, "de", size, 20))
        assert len(found) == 20
        assert {len(text.split()) for text in found} == {size}
    assert all(
        len(text) == 4 and text in "組み込み型の一覧" for text in tool.fragments(["組み込み型の一覧 list"], "ja", 2, 9)
    )
