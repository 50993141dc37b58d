"""The table and the picture of scores by minutes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nmt.recipe.load import load_recipe

LoadTool = Callable[[str], ModuleType]


def write_run(directory: Path, width: int, scores: dict[float, float]) -> str:
    directory.mkdir()
    lines = [
        {"event": "valid", "step": number, "seconds": 60 * minutes, "loss": 1.0, "bleu": bleu}
        for number, (minutes, bleu) in enumerate(scores.items(), start=1)
    ]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = load_recipe("multi30k/luong", {"model.embedding_size": width})
    (directory / "recipe.yaml").write_text(recipe.to_yaml())
    return str(directory)


def test_scores_after_minutes(
    load_tool: LoadTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load_tool("experiments/quality_by_minutes")
    wide = write_run(tmp_path / "wide", 256, {6.0: 1.0, 12.0: 4.0, 39.5: 30.0})
    narrow = write_run(tmp_path / "narrow", 64, {4.0: 2.0, 6.0: 6.0, 15.0: 9.0})
    picture = tmp_path / "quality.svg"
    monkeypatch.setattr(sys, "argv", ["quality", "--text", "news", wide, narrow, "-o", str(picture)])
    tool.main()
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in capsys.readouterr().out.splitlines()]
    assert rows[0][2:6] == ["5 min", "10 min", "20 min", "40 min"]
    assert rows[2:] == [
        ["news", "64", "4.0", "7.3", "–", "–", "–", "–"],  # 20 minutes are after the end of this run
        ["news", "256", "–", "3.0", "11.6", "30.0", "–", "–"],  # 5 before the first validation, 40 within the slack
    ]
    drawn = picture.read_text()
    assert "width 64" in drawn
    assert "news" in drawn
