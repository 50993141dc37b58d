"""The machine of a training run, for the model card and for reports."""

import platform
import re
from contextlib import suppress
from pathlib import Path

import torch

FILE, MAX_BYTES = "machine.txt", 1000
"""The file of the model directory that has the line."""


def describe_machine(device: torch.device) -> str:
    """Returns a line with the GPU if it is used, the processor, the number of threads, and versions."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError, TypeError):  # of Linux
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8", "replace"))[1]  # type: ignore[index]
    gpu = f"{torch.cuda.get_device_name(device)}; " if device.type == "cuda" else ""
    threads = f"{torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"
    return f"{gpu}{cpu}, {threads}; Python {platform.python_version()}, PyTorch {torch.__version__}"
