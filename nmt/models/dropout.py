"""Dropout (Srivastava et al. 2014), with a mask that is cheap on a CPU.

On a CPU drawing a Bernoulli number for each element costs more than the matrix product before it: it was a third
of a training step. One 64-bit draw gives eight bytes, and a byte compared with a threshold decides an element, so
the rate is rounded to 1/256, 2/256 … 255/256; the scale uses the rounded rate, so the expectation is exact. On other
devices PyTorch's own fused kernel is the fastest.
"""

import torch
from torch import Tensor, nn

_LOWEST = torch.iinfo(torch.int64).min


class Dropout(nn.Module):
    """Zero elements with probability ``rate`` in training, and scale the others by 1 / (1 - rate)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"dropout rate {rate} is not in [0, 1)")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():  # the compiler fuses a mask of its own
            return nn.functional.dropout(x, self.rate, training=True)
        return x * byte_mask(x, self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def byte_mask(x: Tensor, rate: float) -> Tensor:
    """A mask like ``x`` of zeros and 1 / (1 - rate), from random bytes."""
    threshold = min(max(1, round(rate * 256)), 255)
    draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(_LOWEST, None)
    keep = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= threshold
    return keep.to(x.dtype).mul_(256 / (256 - threshold))
