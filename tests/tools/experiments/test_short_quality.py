"""Single words are taken from the text, with the translations of the lexicon; a translation is judged by them."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from nmt.translation.results import Translation


def test_single_words_are_judged_by_the_lexicon(load_tool: Callable[[str], ModuleType], tmp_path: Path) -> None:
    tool = load_tool("experiments/short_quality")
    rows = [("hund", "dog", 9), ("hund", "hound", 2), ("der", "the", 9), ("garten", "garden", 9), ("maus", "mouse", 9)]
    path = tmp_path / "lexicon.tsv"
    path.write_text("".join(f"{s}\t{t}\t{count}\n" for s, t, count in rows))
    words = tool.single_words(["Im Garten schläft der Hund.", "Maus"], path, ("de", "en"))
    assert words == {"Garten": {"garden"}, "Hund": {"dog", "hound"}}

    def translate(lines: list[str], **options: Any) -> list[Translation]:
        texts = {"Garten": "A garden.", "Hund": "Hound."}
        return [Translation(line, texts[line], 0.0, []) for line in lines]

    assert tool.share_right(SimpleNamespace(translate=translate), words, False) == "50.0% of 2"
