"""Kernels for training on a GPU, which an extension provides; without one, PyTorch's are used."""

from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from nmt.recipe.registry import hooks


class GpuKernels(Protocol):
    """Functions with gradients, for contiguous tensors in bfloat16 or float16 on a CUDA device."""

    longest: int
    """Maximum number of queries and of keys of :meth:`attend`."""

    def attend(self, q_BHTd: Tensor, k_BHSd: Tensor, v_BHSd: Tensor, bias_BS: Tensor | None) -> Tensor:
        """Returns softmax(Q Kᵀ / √d + bias) V; each query sees the keys up to its own where there is no bias."""

    def norm(self, x: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Returns ``x``, for a residual connection, and its layer norm."""


def gpu_kernels(x: Tensor) -> GpuKernels | None:
    """Returns the kernels for what is computed from a tensor, or None where PyTorch's are to be used."""
    if x.device.type != "cuda" or x.dtype == torch.float32 or not torch.is_grad_enabled():
        return None
    return None if torch.is_autocast_enabled("cuda") else _installed()


@cache
def _installed() -> GpuKernels | None:
    """Returns the first kernels that work on this machine."""
    working = (kernels for make in hooks("gpu_kernels") if (kernels := make()) is not None)
    return next(working, None)
