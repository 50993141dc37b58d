"""The programs in examples/ run as they stand."""

import shutil
import subprocess
from pathlib import Path


def test_a_plain_loop_trains_and_translates(repo_root: Path, python: Path) -> None:
    program = repo_root / "examples" / "plain_loop.py"
    done = subprocess.run(
        [python, program, "--updates", "40", "--batch-size", "12"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (validation,) = (float(line.rpartition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("update"))
    assert validation < 6  # below the logarithm of the vocabulary's size, 6.9
    assert done.stdout.count("translation:") == 5


def test_r_drop_is_a_plugin(tiny_recipe: Path, python: Path, repo_root: Path, tmp_path: Path) -> None:
    shutil.copy(repo_root / "examples" / "r_drop.py", tmp_path)
    command = [python, "-m", "nmt", "train", tiny_recipe, "-o", "run", "--set", "training.max_steps=2"]
    command += ["--plugin", "r_drop", "--set", "training.techniques.r_drop.weight=5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "weight: 5" in (tmp_path / "run" / "recipe.yaml").read_text("utf-8")


def test_every_example_is_tested(repo_root: Path) -> None:
    tested = Path(__file__).read_text("utf-8")
    assert [path.name for path in (repo_root / "examples").glob("*.py") if path.name not in tested] == []
