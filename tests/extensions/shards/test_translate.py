"""The work of one worker on shards of text."""

from pathlib import Path

import pytest
import torch
from shouting import LINES, SHOUTED, job

from nmt.extensions.shards.shards import Shard
from nmt.extensions.shards.translate import nth_device, start_shards
from nmt.extensions.shards.workers import LocalExecutor


def test_a_worker_counts_lines_from_the_beginning_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*LINES[:4], "no 5", "no 6", "no 7"]
    (tmp_path / "out.partial").write_text("".join(f"{line}\n" for line in SHOUTED[:4]))
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in lines))
    work = start_shards(lambda device: job(), "cpu", 0)
    steps = list(work(Shard("out", (tmp_path / "in",), tmp_path / "out")))
    assert steps == [("before", 4), ("lines", 3), ("done", None)]
    assert (tmp_path / "out").read_text().splitlines() == [*SHOUTED[:4], "", "", ""]
    assert "3 are empty (lines 5, 6, 7)" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["2", "2,1"])
def test_workers_share_the_threads_that_openmp_was_given(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert LocalExecutor(None, None, "cpu", 1).num_workers == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "auto")  # OpenMP takes no notice of it
    num_workers = LocalExecutor(None, None, "cpu", 1).num_workers
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert LocalExecutor(None, None, "cpu", 1).num_workers == num_workers


def test_several_processes_take_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [nth_device("auto", number) for number in range(4)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert (nth_device("cuda", 3), nth_device("cuda:0", 3), nth_device("cpu", 3)) == ("cuda:1", "cuda:0", "cpu")
