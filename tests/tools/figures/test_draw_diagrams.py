"""The diagrams of the documentation are those that the script draws."""

from pathlib import Path

import draw_diagrams
import pytest

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"


@pytest.mark.slow
@pytest.mark.parametrize("name", draw_diagrams.DIAGRAMS)
def test_files_are_up_to_date(name: str) -> None:
    drawn = draw_diagrams.DIAGRAMS[name]().svg()
    measured = {"growth", "minutes", "minutes_systems", "quality_by_minutes", "students"}  # by the other tools, and nmt
    assert {path.stem for path in IMAGES.glob("*.svg")} == {*draw_diagrams.DIAGRAMS, *measured}
    assert (IMAGES / f"{name}.svg").read_text("utf-8") == drawn, "run python tools/figures/draw_diagrams.py"
