"""The programs in examples/ run as they stand."""

import subprocess
from pathlib import Path


def test_a_plain_loop_trains_and_translates(repo_root: Path, python: Path) -> None:
    program = repo_root / "examples" / "plain_loop.py"
    done = subprocess.run(
        [python, program, "--updates", "60", "--batch-size", "16"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (validation,) = (float(line.rpartition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("update"))
    assert validation < 6  # below the logarithm of the vocabulary's size, 6.9
    assert done.stdout.count("translation:") == 5


def test_every_example_is_tested(repo_root: Path) -> None:
    tested = Path(__file__).read_text("utf-8")
    assert [path.name for path in (repo_root / "examples").glob("*.py") if path.name not in tested] == []
