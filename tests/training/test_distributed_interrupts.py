"""Signals: the first is noted, the second acts, and nothing of it stays behind."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.training.distributed import Interrupts
from nmt.training.run import train

SCRIPT = """
import sys
from nmt.training.distributed import Interrupted
from nmt.training.run import train
try:
    train(sys.argv[1], sys.argv[2])
except Interrupted as error:
    print("interrupted by", error.signal_number)
"""


@pytest.mark.posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts_as_before(number: signal.Signals) -> None:
    acted = []
    before = signal.signal(number, lambda *_: acted.append(True))
    try:
        with Interrupts() as interrupts:
            assert interrupts.received is None
            signal.raise_signal(number)
            assert interrupts.received == number
            assert not acted
            signal.raise_signal(number)
            assert acted
    finally:
        signal.signal(number, before)


def test_a_signal_that_torchrun_passes_on_again_is_the_same_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interrupts(repeated=3.0) as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.received == signal.SIGINT
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 3.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_mean_what_they_meant_when_all_is_over() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_thread_other_than_the_main_one_may_train() -> None:
    entered = []

    def work() -> None:
        with Interrupts() as interrupts:
            entered.append(interrupts.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [None]


@pytest.mark.quick("2")
@pytest.mark.posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_and_goes_on_as_if_nothing_had_happened(
    number: signal.Signals,
    make_recipe: Callable[..., Any],
    read_metrics: Callable[..., list[dict[str, Any]]],
    read_checkpoint: Callable[..., tuple[dict[str, torch.Tensor], ...]],
    python: Path,
    tmp_path: Path,
) -> None:
    options = {"dropout": 0.2, "ema": 0.9, "checkpoint_every": 10_000, "validate_every": 10_000}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(make_recipe("luong", max_steps=10_000, **options).to_yaml(), encoding="utf-8")
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    # The machine's own thread count would be another order of summation.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [python, "-c", SCRIPT, recipe, broken],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _wait_for_lines(broken / "metrics.jsonl", process)
        process.send_signal(number)
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert output == f"interrupted by {int(number)}\n", errors
    (checkpoint,) = (broken / "checkpoints").iterdir()
    step = int(checkpoint.name.removeprefix("step-"))
    assert step >= read_metrics(broken, "train")[-1]["step"]

    end = step + 7
    train(make_recipe("luong", max_steps=end, **options), broken, resume=True)
    train(make_recipe("luong", max_steps=end, **options), whole)
    for resumed, uninterrupted in zip(read_checkpoint(broken, end), read_checkpoint(whole, end), strict=True):
        torch.testing.assert_close(resumed, uninterrupted, rtol=0, atol=0)


def _wait_for_lines(path: Path, process: "subprocess.Popen[str]") -> None:
    for _ in range(3000):
        if path.exists() and path.read_text("utf-8").count("\n") >= 3:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("training did not start")
