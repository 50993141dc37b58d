"""Placeholders of the Python documentation come back as they were."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("sentencex")
pytest.importorskip("polib")


@pytest.mark.slow
def test_placeholders_are_kept_where_translations_are_damaged(
    load_tool: Callable[[str], ModuleType], shared_data: Path
) -> None:
    tool = load_tool("experiments/placeholder_quality")
    rows = list(tool.results(shared_data / "pydocs", "valid", None, "", 50, 10**9))
    assert len(rows) == 10
    for _, name, _, total, kept, invented, _ in rows:
        assert int(total) > 50
        share = float(kept.rstrip("%"))
        assert (share, invented) == (100.0, "0") if name == "protected" else share < 90
