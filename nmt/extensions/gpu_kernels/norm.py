"""Layer norm in training whose backward pass adds the gradient of the residual connection around it."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call,misc"
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

PROGRAMS = 2112
"""Number of programs of the backward pass, each of which sums gradients of weights: 16 for each unit of an H200."""


@triton.jit
def _forward(x, weight, bias, out, mean, scale, size, eps, D: tl.constexpr):
    row = tl.program_id(0)
    dim_D = tl.arange(0, D)
    place_D, inside_D = row.to(tl.int64) * size + dim_D, dim_D < size
    x_D = tl.load(x + place_D, mask=inside_D, other=0.0).to(tl.float32)
    row_mean = tl.sum(x_D, 0) / size
    centred_D = tl.where(inside_D, x_D - row_mean, 0.0)
    row_scale = tl.rsqrt(tl.sum(centred_D * centred_D, 0) / size + eps)
    weight_D = tl.load(weight + dim_D, mask=inside_D, other=0.0).to(tl.float32)
    out_D = centred_D * row_scale * weight_D + tl.load(bias + dim_D, mask=inside_D, other=0.0).to(tl.float32)
    tl.store(out + place_D, out_D.to(out.dtype.element_ty), mask=inside_D)
    tl.store(mean + row, row_mean)
    tl.store(scale + row, row_scale)


@triton.jit
def _backward(
    x, weight, mean, scale, grad_out, grad_residual, grad_x, grad_weight, grad_bias, num_rows, size,
    HAS_RESIDUAL: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    dim_D = tl.arange(0, D)
    inside_D = dim_D < size
    weight_D = tl.load(weight + dim_D, mask=inside_D, other=0.0).to(tl.float32)
    grad_weight_D, grad_bias_D = tl.zeros([D], tl.float32), tl.zeros([D], tl.float32)
    row = tl.program_id(0)
    while row < num_rows:
        place_D = row.to(tl.int64) * size + dim_D
        row_scale = tl.load(scale + row)
        grad_D = tl.load(grad_out + place_D, mask=inside_D, other=0.0).to(tl.float32)
        x_D = tl.load(x + place_D, mask=inside_D, other=0.0).to(tl.float32)
        normal_D = tl.where(inside_D, (x_D - tl.load(mean + row)) * row_scale, 0.0)
        grad_weight_D += grad_D * normal_D
        grad_bias_D += grad_D
        grad_D *= weight_D
        grad_D = (grad_D - tl.sum(grad_D, 0) / size - normal_D * (tl.sum(grad_D * normal_D, 0) / size)) * row_scale
        if HAS_RESIDUAL:
            grad_D += tl.load(grad_residual + place_D, mask=inside_D, other=0.0).to(tl.float32)
        tl.store(grad_x + place_D, grad_D.to(grad_x.dtype.element_ty), mask=inside_D)
        row += tl.num_programs(0)
    place_D = tl.program_id(0) * size + dim_D
    tl.store(grad_weight + place_D, grad_weight_D, mask=inside_D)
    tl.store(grad_bias + place_D, grad_bias_D, mask=inside_D)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        size = x.shape[-1]
        x = x.contiguous()
        out, figure_2N = torch.empty_like(x), torch.empty(2, x.numel() // size, device=x.device)
        with torch.cuda.device_of(x):
            _forward[(figure_2N.shape[1],)](
                x, weight_D, bias_D, out, *figure_2N, size, eps, D=triton.next_power_of_2(size), num_warps=_warps(size)
            )
        ctx.save_for_backward(x, weight_D, figure_2N)
        ctx.set_materialize_grads(False)
        return x.view_as(x), out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_D, figure_2N = ctx.saved_tensors
        size, num_rows = x.shape[-1], figure_2N.shape[1]
        grad_x, num_programs = torch.empty_like(x), min(num_rows, PROGRAMS)
        grad_2PD = torch.empty(2, num_programs, size, device=x.device)
        residual, out = (None if grad is None else grad.contiguous() for grad in grads)
        assert out is not None
        with torch.cuda.device_of(x):
            _backward[(num_programs,)](
                *(x, weight_D, *figure_2N, out, out if residual is None else residual, grad_x, *grad_2PD),
                num_rows, size, HAS_RESIDUAL=residual is not None,
                D=triton.next_power_of_2(size), num_warps=_warps(size),
            )  # fmt: skip
        grad_weight_D, grad_bias_D = grad_2PD.sum(1).to(weight_D.dtype)
        return grad_x, grad_weight_D, grad_bias_D, None


def _warps(size: int) -> int:
    return int(min(8, max(1, triton.next_power_of_2(size) // 512)))


def norm(x: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Returns ``x`` for the residual connection, and its layer norm. [..., D]"""
    result: tuple[Tensor, Tensor] = _Norm.apply(x, weight_D, bias_D, eps)
    return result
