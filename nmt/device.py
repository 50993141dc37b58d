"""Where computation happens and in which precision: decided here and nowhere else."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Literal, cast, get_args

import torch

from nmt.errors import UserError, nearest

Precision = Literal["fp32", "bf16", "fp16"]


def pick_device(name: str) -> torch.device:
    """The device of a recipe or an option; ``auto`` takes a GPU where there is one.

    Raises:
        UserError: no such device, or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"There is no device {name!r}.", "Use auto, cpu, cuda, cuda:1 or mps.") from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"This machine has no device {name!r} that PyTorch can use.", "Use device auto or cpu."
        ) from None
    return device


def pick_precision(name: str, device: torch.device) -> Precision:
    """The precision of a recipe or an option; ``auto`` is bfloat16 where the hardware computes in it, else float32.

    Raises:
        UserError: there is no such precision.
    """
    known = (*get_args(Precision), "auto")
    if name not in known:
        raise UserError(f"There is no precision {name!r}.", nearest(name, known))
    if name == "auto" and device.type == "cuda":
        name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif name == "auto":
        name = "bf16" if device.type == "cpu" and _cpu_has_bfloat16() else "fp32"
    return cast(Precision, name)


def _cpu_has_bfloat16() -> bool:
    """Whether matrix products in bfloat16 run in hardware; PyTorch emulates them, slowly, where they don't."""
    checks = (getattr(torch.cpu, "_is_avx512_bf16_supported", None), getattr(torch.cpu, "_is_amx_tile_supported", None))
    return any(check is not None and check() for check in checks)


def use_tensor_cores(device: torch.device) -> None:
    """Let float32 matrix products of training run as TF32 on a GPU that has it: ten bits of mantissa, much faster."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """Run matrix products in the given precision inside this context."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def total_memory() -> int | None:
    """Bytes of memory that this process can have: the machine's or its container's; None where that is unknown."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(ValueError, OSError):  # the limit can be the word max
            found.append(int(Path(limit).read_text()))
    return min(found, default=None)


def peak_memory_mb(device: torch.device) -> int | None:
    """The most memory so far, in 10^6 bytes: what tensors took on a GPU, else what the whole process took.

    None where the system doesn't tell.
    """
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Linux counts in units of 1,024 bytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
