"""Devices and precisions: what is there is taken, what isn't is named."""

from pathlib import Path

import pytest
import torch

from nmt import device as device_module
from nmt.device import autocast, peak_memory_mb, pick_device, pick_precision
from nmt.errors import UserError

CPU = torch.device("cpu")
STATUS = Path("/proc/self/status")


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for available, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert pick_device("auto").type == kind


@pytest.mark.parametrize("name", ["gpu", "cuda:one", ""])
def test_a_device_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"(?s)There is no device '{name}'.*auto, cpu, cuda"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cuda:99", "xpu:7"])
def test_a_device_that_this_machine_lacks_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"This machine has no device '{name}'"):
        pick_device(name)


@pytest.mark.parametrize(("in_hardware", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_on_a_cpu_is_what_it_computes_in(
    monkeypatch: pytest.MonkeyPatch, in_hardware: bool, precision: str
) -> None:
    monkeypatch.setattr(device_module, "_cpu_has_bfloat16", lambda: in_hardware)
    assert pick_precision("auto", CPU) == precision
    assert pick_precision("fp16", CPU) == "fp16"


def test_autocast_computes_matrix_products_in_the_precision() -> None:
    x = torch.ones(2, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with autocast(CPU, precision):  # type: ignore[arg-type]
            assert (x @ x).dtype == dtype


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")
def test_peak_memory_is_that_of_the_process() -> None:
    [line] = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    found = peak_memory_mb(CPU)
    assert found == pytest.approx(int(line.split()[1]) * 1024 / 1e6, rel=0.05)


def test_peak_memory_of_a_gpu_is_that_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 2_400_000 if device.index == 1 else 0)
    assert peak_memory_mb(torch.device("cuda:1")) == 2
