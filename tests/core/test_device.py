"""Devices and precisions: what is there is taken, what isn't is named."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nmt.core import device as device_module
from nmt.core.device import autocast, peak_memory_mb, pick_device, pick_precision
from nmt.core.errors import UserError
from nmt.decoding.parallel import map_batches

CPU = torch.device("cpu")
STATUS = Path("/proc/self/status")


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for available, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert pick_device("auto").type == kind


def test_a_gpu_does_not_use_the_attention_of_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    torch.backends.cuda.enable_cudnn_sdp(True)
    pick_device("cpu")
    assert torch.backends.cuda.cudnn_sdp_enabled()
    pick_device("auto")
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_a_device_that_is_not_there_is_named() -> None:
    for name in ("gpu", "cuda:one", ""):
        with pytest.raises(UserError, match=f"(?s)There is no device '{name}'.*auto, cpu, cuda"):
            pick_device(name)
    for name in ("cuda:99", "xpu:7"):
        with pytest.raises(UserError, match=f"This machine has no device '{name}'"):
            pick_device(name)


@pytest.mark.parametrize(("in_hardware", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_on_a_cpu_is_what_it_computes_in(
    monkeypatch: pytest.MonkeyPatch, in_hardware: bool, precision: str
) -> None:
    monkeypatch.setattr(device_module, "_cpu_has_bfloat16", lambda: in_hardware)
    assert pick_precision("auto", CPU) == precision
    assert pick_precision("fp16", CPU) == "fp16"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a child process that is a copy")
def test_a_processor_whose_amx_ends_the_process_is_computed_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "mm", lambda *_: os.kill(os.getpid(), signal.SIGILL))
        device_module._cpu_has_bfloat16.cache_clear()
        assert (pick_precision("auto", CPU), pick_precision("bf16", CPU)) == ("fp32", "bf16")
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_FP16"
    device_module._cpu_has_bfloat16.cache_clear()  # a product works now, at the latest
    assert pick_precision("auto", CPU) == "bf16"
    device_module._cpu_has_bfloat16.cache_clear()


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")
def test_peak_memory_is_that_of_the_process() -> None:
    [line] = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    found = peak_memory_mb(CPU)
    assert found == pytest.approx(int(line.split()[1]) * 1024 / 1e6, rel=0.05)


@pytest.fixture
def nine_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(9)
    yield
    torch.set_num_threads(before)


def test_batches_are_mapped_in_order_by_threads_that_share_the_cores(nine_threads: None) -> None:
    barrier = threading.Barrier(4)  # no result unless four batches are computed at a time

    def call(batch: int) -> tuple[int, int, torch.dtype]:
        barrier.wait(30)
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        return batch, torch.get_num_threads(), product.dtype

    with autocast(CPU, "bf16"):
        found = list(map_batches(call, range(8), CPU))
    assert found == [(batch, 2, torch.bfloat16) for batch in range(8)]
    assert torch.get_num_threads() == 9


def test_the_error_of_a_batch_ends_the_others(nine_threads: None) -> None:
    called = []

    def call(batch: int) -> int:
        called.append(batch)
        if batch == 0:
            raise UserError("Not this one.", "Leave it out.")
        return batch

    with pytest.raises(UserError, match="Not this one"):
        list(map_batches(call, range(1000), CPU))
    assert len(called) < 1000


@pytest.mark.parametrize(("given", "capacity"), [({}, "64"), ({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7"}, "7")])
def test_a_loaded_model_keeps_few_kernels_unless_the_environment_says_otherwise(
    python: Path, tiny_model: Path, given: dict[str, str], capacity: str
) -> None:
    code = f"import nmt, os; nmt.load({str(tiny_model)!r}); print(os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEDNN_")} | given
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == capacity
