"""The constants of ``nmt plan``, fitted to runs."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nmt.data.sources import FileText
from nmt.training.plan import BATCH_TOKENS, QualityCurve, TextProfile, expected_chrf

LoadTool = Callable[[str], ModuleType]
TRUE_CURVE = QualityCurve((55.0, 4.0, 8.0), (6.6, -0.6, -0.4), 1.9)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Runs on five texts, whose chrF follows :data:`TRUE_CURVE`, and a student."""
    folders = []
    for seed, num_words in enumerate((20, 60, 200, 700, 3_000)):
        draw = random.Random(seed)
        text = "".join(
            " ".join(f"w{draw.randrange(num_words)}" for _ in range(8)) + "\n" for _ in range(2_000 * (seed + 1))
        )
        files = tmp_path / f"{seed}.de", tmp_path / f"{seed}.en"
        for file in files:
            file.write_text(text, "utf-8")
        profile = TextProfile.read(FileText(*files))
        for width in (64, 128):
            folder = tmp_path / f"run-{seed}-{width}"
            folder.mkdir()
            (folder / "recipe.yaml").write_text(
                recipe(width, f"train: {{source: {files[0]}, target: {files[1]}}}"), "utf-8"
            )
            steps = (200, 400, 800, 1_600, 3_200)
            events = [
                {"event": "valid", "step": step, "chrf": expected_chrf(profile, width, step, TRUE_CURVE)}
                for step in steps
            ]
            (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events), "utf-8")
            folders.append(folder)
    student = tmp_path / "student"
    student.mkdir()
    corpora = f"corpora: [{{name: real, source: {files[0]}, target: {files[1]}}}]"
    (student / "recipe.yaml").write_text(recipe(128, corpora), "utf-8")
    return [*folders, student]


def recipe(width: int, data: str) -> str:
    return (
        f"data: {{source: de, target: en, {data}}}\n"
        f"model: {{embedding_size: {width}, encoder: {{type: transformer}}, decoder: {{type: transformer}}}}\n"
        f"training: {{batch_tokens: {BATCH_TOKENS}, max_steps: 3200}}\n"
    )


@pytest.mark.slow
def test_the_fit_finds_the_curve_of_the_runs(
    runs: list[Path], load_tool: LoadTool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load_tool("experiments/plan_quality")
    monkeypatch.setattr(sys, "argv", ["plan_quality.py", *map(str, runs)])
    tool.main()
    written = capsys.readouterr()
    assert float(written.out.split(" on the texts that the constants were fitted on")[0].split()[-1]) < 0.5
    assert float(written.out.split("rate=")[1].rstrip(")\n")) == pytest.approx(TRUE_CURVE.rate, abs=0.1)
    assert "student is skipped" in written.err
