"""tools/experiments/guided_alignment.sh: which commands it runs, and what it leaves out when it is started again."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.posix

Run = Callable[..., tuple[int, list[str]]]

# Stands in for nmt: notes its arguments and makes the folder that follows -o.
STAND_IN = """#!/bin/sh
echo "$@" >> "$LOG"
while [ $# -gt 0 ]; do
    case $1 in -o) case $2 in *.links) : > "$2" ;; *) mkdir -p "$2" ;; esac ;; esac
    shift
done
"""


@pytest.fixture
def run(tmp_path: Path, repo_root: Path) -> Run:
    stand_in = tmp_path / "bin" / "nmt"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)

    def run(*arguments: object, **environment: str) -> tuple[int, list[str]]:
        log = tmp_path / "log"
        log.write_text("")
        done = subprocess.run(
            ["sh", repo_root / "tools" / "experiments" / "guided_alignment.sh", *map(str, arguments)],
            env={**os.environ, "PATH": f"{stand_in.parent}:{os.environ['PATH']}", "LOG": str(log), **environment},
            capture_output=True,
            check=False,
        )
        return done.returncode, log.read_text().splitlines()

    return run


def test_teacher_links_student(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, calls = run("corpus", out)
    assert code == 0
    assert [call.split()[0] for call in calls] == ["train", "learn-alignment", "align", "train"]
    assert calls[0].startswith(f"train multi30k/luong -o {out}/teacher")
    assert calls[1] == f"learn-alignment {out}/teacher corpus/train.de corpus/train.en"
    assert calls[2] == f"align {out}/teacher corpus/train.de corpus/train.en --split-punctuation -o {out}/train.links"
    assert calls[3].startswith(f"train multi30k/transformer_guided -o {out}/guided")
    assert calls[3].endswith(f"--set training.techniques.guided_alignment.links={out}/train.links")
    _, again = run("corpus", out)
    assert not [call for call in again if call.startswith("train ")], "what is trained stays"


def test_usage_is_told(run: Run) -> None:
    assert run("corpus") == (2, [])
