"""Single words of a lexicon as training text."""

from pathlib import Path
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.data.opening import open_text
from nmt.recipe.schema import DataOptions


def options(**values: Any) -> DataOptions:
    return DataOptions(**{"source": "de", "target": "en", **values})


def test_a_lexicon_gives_the_words_with_one_predominant_translation(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    rows = [("bank", "bank", 5), ("bank", "bench", 4), ("haus", "house", 2), ("haus", "a", 1), ("hund", "dog", 2.9)]
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in [*rows, ("!", "!", 9), ("3", "three", 9)]))
    text = {"type": "lexicon", "path": path}
    assert list(open_text(options(text=text), "train")) == [("haus", "house")]
    other = open_text(options(text=text | {"min_count": 1, "min_share": 0.5}), "train")
    assert list(other) == [("bank", "bank"), ("haus", "house"), ("hund", "dog")]
    assert other.fingerprint() != open_text(options(text=text), "train").fingerprint()
    path.write_text("haus\thouse\n")
    with pytest.raises(UserError, match="line 1: not a source word"):
        list(other)
