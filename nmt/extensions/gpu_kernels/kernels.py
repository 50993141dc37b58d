"""The hook ``nmt.hooks.gpu_kernels``."""

import torch

from nmt.core.console import warn
from nmt.models.gpu_kernels import GpuKernels


def working_kernels() -> GpuKernels | None:
    """Returns the kernels, or None where Triton isn't installed or can't compile them, which a warning says."""
    try:
        from nmt.extensions.gpu_kernels import triton_kernels as kernels
    except ModuleNotFoundError:
        return None
    try:
        x = torch.zeros(1, 1, 16, 16, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        weight = x[0, 0, 0].detach()
        same, normal = kernels.norm(kernels.attend(x, x, x, None), weight, weight, 1e-5)
        torch.autograd.grad(same + normal, x, x)
    except Exception as error:  # what compilers and drivers raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        warn(f"Triton can't compile kernels here, so training takes longer: {reason}")
        return None
    return kernels
