"""The kernels as one object; importing it needs Triton."""

from nmt.extensions.gpu_kernels.attention import LONGEST as longest
from nmt.extensions.gpu_kernels.attention import attend
from nmt.extensions.gpu_kernels.norm import norm

__all__ = ["attend", "longest", "norm"]
