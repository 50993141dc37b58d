"""Real processes, really killed: what is resumed ends bit for bit as what was never stopped."""

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nmt.extensions.shards", exc_type=ImportError)

import kill_runs
from kill_runs import differences


@pytest.mark.slow
def test_every_kind_of_command_survives_kills(zygote: Any, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    killer = kill_runs.run(tmp_path / "base", num_kills=40, seed=3, only=None)
    assert killer.problems == []
    assert killer.kills.total() >= 40
    assert all(killer.compared[command.name] for command in kill_runs.commands())


def test_a_difference_in_any_file_is_noticed(tiny_model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "run")
    assert differences(copy, tiny_model) == []
    for path in sorted(path for path in copy.rglob("*") if path.is_file() and path.name != ".lock"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"loss": ', b'"loss": 1', 1) if b'"loss": ' in content else content[:-9])
        assert any(
            str(path.relative_to(copy)) in name or name.endswith("sums") for name in differences(copy, tiny_model)
        )
        path.write_bytes(content)
