"""The programs in examples/ run as they stand."""

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from captions import NUM_CELLS, draw, hits  # of examples/
from knowledge_tracing import auc, exact_predictions, simulate
from refusals import refused


def output_of(command: list[object], folder: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_plain_loop_trains_and_translates(repo_root: Path, python: Path, tmp_path: Path) -> None:
    program = repo_root / "examples" / "plain_loop.py"
    text = output_of([python, program, "--updates", 40, "--batch-size", 12], tmp_path)
    (validation,) = (float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("update"))
    assert validation < 6  # below the logarithm of the vocabulary's size, 6.9
    assert text.count("translation:") == 5


def test_r_drop_is_a_plugin(tiny_recipe: Path, python: Path, repo_root: Path, tmp_path: Path) -> None:
    shutil.copy(repo_root / "examples" / "r_drop.py", tmp_path)
    command = [python, "-m", "nmt", "train", tiny_recipe, "-o", "run", "--set", "training.max_steps=2"]
    output_of([*command, "--plugin", "r_drop", "--set", "training.techniques.r_drop.weight=5"], tmp_path)
    assert "weight: 5" in (tmp_path / "run" / "recipe.yaml").read_text("utf-8")


def test_captions_tell_where_shapes_are(tmp_path: Path) -> None:
    rng = random.Random(2)
    for path, caption, edges in (draw(tmp_path, rng) for _ in range(50)):
        assert Path(path).is_file()
        if "left of" in caption:
            assert edges[0][0] + edges[0][2] < edges[1][0] + edges[1][2]
        elif "above" in caption:
            assert edges[0][1] + edges[0][3] < edges[1][1] + edges[1][3]
        left, top, *_ = edges[0]
        weights_TYX = torch.zeros(len(caption.split()), NUM_CELLS, NUM_CELLS)
        weights_TYX[:, (top + 3) // 4, (left + 3) // 4] = 1  # all attention is on the first shape
        assert hits(weights_TYX, edges) == [True, True, False, False][: 2 * len(edges)]


@pytest.mark.slow
def test_captions_are_trained_and_translated(repo_root: Path, python: Path, tmp_path: Path) -> None:
    program = repo_root / "examples" / "captions.py"
    text = output_of([python, program, "--pictures", 64, "--updates", 2], tmp_path)
    assert "of the captions of 400 new pictures are exactly right" in text
    folder = tmp_path / "runs" / "captions"
    assert (folder / "captions.png").stat().st_size > 1000
    shutil.copy(program, tmp_path)
    broken = folder / "pictures" / "broken.png"
    broken.write_bytes(b"no picture")
    (tmp_path / "list.txt").write_text(f"{(folder / 'test.txt').read_text().splitlines()[0]}\n{broken}\n")
    command = [python, "-m", "nmt", "translate", folder / "model", "--plugin", "captions", "-i", "list.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    refused(done, "broken.png' is not a picture of 24 x 24 pixels in colour")


def test_the_best_prediction_of_answers_is_calibrated() -> None:
    students = simulate(2000, 30, np.random.default_rng(1))
    predicted = np.take_along_axis(exact_predictions(students), students.skill_NT[:, :, None], 2).ravel()
    is_right = students.is_right_NT.ravel()
    for low in np.arange(0.2, 0.9, 0.1):
        is_in_bin = (predicted >= low) & (predicted < low + 0.1)
        assert is_right[is_in_bin].mean() == pytest.approx(predicted[is_in_bin].mean(), abs=0.03)
    assert auc(predicted, is_right) > auc(students.skill_NT.ravel().astype(float), is_right) + 0.1


def test_auc_counts_pairs() -> None:
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])
    assert auc(scores, labels) == pytest.approx(3.5 / 4)


@pytest.mark.slow
def test_knowledge_is_traced(repo_root: Path, python: Path, tmp_path: Path) -> None:
    program = repo_root / "examples" / "knowledge_tracing.py"
    text = output_of([python, program, "--students", 200, "--updates", 20, "--cell", "gru"], tmp_path)
    network, best = (float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("AUC"))
    assert 0.6 < network < best == pytest.approx(0.82, abs=0.02)
    assert (tmp_path / "knowledge_tracing.png").stat().st_size > 1000


def test_every_example_is_tested(repo_root: Path) -> None:
    tested = Path(__file__).read_text("utf-8")
    assert [path.name for path in (repo_root / "examples").glob("*.py") if path.name not in tested] == []
