"""Where computation happens and in which precision: decided here and nowhere else."""

import contextlib
import ctypes
import functools
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

import torch

from nmt.core.errors import UserError, nearest

T = TypeVar("T")
R = TypeVar("R")
Precision = Literal["fp32", "bf16", "fp16"]
TYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of matrix products in each precision."""
WITHOUT_FLOAT64 = {"mps"}
KEPT_BYTES = 256 << 20
KEPT_KERNELS = 64


def pick_device(name: str) -> torch.device:
    """The device of a recipe or an option; ``auto`` takes a GPU where there is one. Raises UserError if there is no
    such device, or not on this machine."""
    device = _find_device(name)
    if device.type == "cuda":
        # cuDNN plans its attention anew for each shape. Lengths vary, so a bfloat16 update would take 8 times as long.
        torch.backends.cuda.enable_cudnn_sdp(False)
    return device


def _find_device(name: str) -> torch.device:
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
        raise UserError(f"This machine has no device {name!r} for PyTorch.", "Use device auto or cpu.") from None
    return device


@functools.cache
def manage_memory() -> None:
    """Have the C library of Linux (glibc) keep up to 256 MB of freed memory for new tensors, and oneDNN few kernels.

    By default the C library gives large blocks back to the system, which has to clear their pages when the next step of
    a search asks for them again; that takes a tenth of a search's time. oneDNN keeps its kernels for 1,024 shapes of
    operands, more than a megabyte each in bfloat16, and ideep, through which PyTorch calls it, keeps another 1,024
    (``LRU_CACHE_CAPACITY``). Training is as fast with 64 of both, and needs a third less memory
    (docs/lab-notes/2026-11-20-speed.md). Variables of the environment hold, where they are set.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):  # read at the first operation
        os.environ.setdefault(name, str(KEPT_KERNELS))
    variables = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3}  # and the numbers of mallopt(3)
    if sys.platform != "linux" or variables.keys() & os.environ.keys():
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        for number in variables.values():
            libc.mallopt(number, KEPT_BYTES)


def pick_precision(name: str, device: torch.device) -> Precision:
    """The precision of a recipe or an option; ``auto`` is bfloat16 where the hardware computes in it, else float32.
    Raises UserError if there is no such precision."""
    known = (*get_args(Precision), "auto")
    if name not in known:
        raise UserError(f"There is no precision {name!r}.", nearest(name, known))
    if name == "auto" and device.type == "cuda":
        name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif device.type == "cpu" and name in ("auto", "bf16"):
        fast = _cpu_has_bfloat16()  # also makes products in bfloat16 safe, where they were asked for by name
        name = "bf16" if fast or name == "bf16" else "fp32"
    elif name == "auto":
        name = "fp32"
    return cast(Precision, name)


@functools.cache
def _cpu_has_bfloat16() -> bool:
    """Whether matrix products in bfloat16 run fast in hardware; PyTorch emulates them, slowly, where they don't.

    Some virtual machines report AMX without the description of its tiles (CPUID leaf 0x1D), and oneDNN's first product
    ends the process there with SIGILL. oneDNN is then limited to AVX-512, whose products in bfloat16 are slower than
    those in float32 on processors that have AMX.
    """
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    has_amx, has_avx512 = (getattr(torch.cpu, check, bool)() for check in checks)  # bool() is False
    if has_amx and not _survives_bfloat16():
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_FP16")  # oneDNN reads it before its first operation
        return False
    return has_amx or has_avx512


def _survives_bfloat16() -> bool:
    """Whether a child process can multiply two matrices in bfloat16."""
    if not hasattr(os, "fork"):
        return True
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of forks beside other threads
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGILL, signal.SIG_DFL)  # without the report of faulthandler
        torch.set_num_threads(1)  # the parent's other threads don't exist here
        x = torch.ones(64, 64, dtype=torch.bfloat16)
        torch.mm(x, x)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def use_tensor_cores(device: torch.device) -> None:
    """Let float32 matrix products of training run as TF32 on a GPU that has it: ten bits of mantissa, much faster."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """Run matrix products in the given precision inside this context."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, TYPES[precision])


def product_dtype(operand: torch.Tensor) -> torch.dtype:
    """The type in which a product with a tensor is computed: that of autocast, else that of the tensor."""
    device = operand.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else operand.dtype


def float64_device(device: torch.device) -> torch.device:
    """Where to compute in float64 for a device: there, or on the CPU for a device without that type."""
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


def total_memory() -> int | None:
    """Bytes of memory that this process can have: the machine's or its container's; None where that is unknown."""
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(ValueError, OSError):  # the limit can be the word max
            limits.append(int(Path(path).read_text()))
    return min(limits, default=None)


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
