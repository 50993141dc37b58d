"""Real processes, really killed: what is resumed ends bit for bit as what was never stopped."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nmt.extensions.shards", exc_type=ImportError)

import kill_runs


@pytest.mark.slow
def test_every_kind_of_command_survives_kills(zygote: Any, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    killer = kill_runs.run(tmp_path / "base", num_kills=40, seed=3, only=None)
    assert killer.problems == []
    assert killer.kills.total() >= 40
    assert all(killer.compared[command.name] for command in kill_runs.commands())
