"""Attention of sentences of up to 64 positions in training: one program computes a head of a sentence.

PyTorch's kernels compute tiles of 64 or 128 positions, and keep the logarithms of the sums for the backward pass. Here
the scores of a head fit in registers, so a tile is as long as the next power of two, and the backward pass computes
them again.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call,misc"
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

LONGEST = 64
"""Maximum number of queries and of keys."""

LENGTHS = ["bias_b", "num_queries", "num_keys"]
"""Arguments that must not give a program of its own for each multiple of 16."""

WARPS = {16: (1, 1), 32: (2, 2), 64: (4, 4)}
"""Number of warps of the forward and the backward pass, by the length of a tile."""


@triton.jit
def _tile(start, row_L, num_rows, stride, dim_D):
    """Rows of a matrix, and zeros behind the last one. [L, D]"""
    return tl.load(start + row_L[:, None] * stride + dim_D, mask=row_L[:, None] < num_rows, other=0.0)


@triton.jit
def _store(start, row_L, num_rows, stride, dim_D, value_LD):
    places = start + row_L[:, None] * stride + dim_D
    tl.store(places, value_LD.to(start.dtype.element_ty), mask=row_L[:, None] < num_rows)


@triton.jit
def _weights(q_TD, k_SD, bias, query_T, key_S, num_keys, scale, CAUSAL: tl.constexpr):
    """softmax(Q Kᵀ scale + bias), where a query of causal attention sees the keys up to its own. [T, S]"""
    score_TS = tl.dot(q_TD, tl.trans(k_SD)) * scale
    seen_TS = key_S[None, :] < num_keys
    if CAUSAL:
        seen_TS = seen_TS & (key_S[None, :] <= query_T[:, None])
    else:
        score_TS += tl.load(bias + key_S, mask=key_S < num_keys, other=0.0).to(tl.float32)[None, :]
    score_TS = tl.where(seen_TS, score_TS, float("-inf"))
    power_TS = tl.exp(score_TS - tl.max(score_TS, 1)[:, None])
    return power_TS / tl.sum(power_TS, 1)[:, None]


@triton.jit(do_not_specialize=LENGTHS)
def _forward(
    q, k, v, bias, out,
    q_b, q_h, q_t, k_b, k_h, k_s, v_b, v_h, v_s, bias_b, out_b, out_h, out_t,
    num_heads, num_queries, num_keys, scale,
    CAUSAL: tl.constexpr, L: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    b = (tl.program_id(0) // num_heads).to(tl.int64)
    h = tl.program_id(0) % num_heads
    query_T, key_S, dim_D = tl.arange(0, L), tl.arange(0, L), tl.arange(0, D)[None, :]
    q_TD = _tile(q + b * q_b + h * q_h, query_T, num_queries, q_t, dim_D)
    k_SD = _tile(k + b * k_b + h * k_h, key_S, num_keys, k_s, dim_D)
    v_SD = _tile(v + b * v_b + h * v_h, key_S, num_keys, v_s, dim_D)
    weight_TS = _weights(q_TD, k_SD, bias + b * bias_b, query_T, key_S, num_keys, scale, CAUSAL)
    out_TD = tl.dot(weight_TS.to(v_SD.dtype), v_SD)
    _store(out + b * out_b + h * out_h, query_T, num_queries, out_t, dim_D, out_TD)


@triton.jit(do_not_specialize=LENGTHS)
def _backward(
    q, k, v, bias, out, grad_q, grad_k, grad_v,
    q_b, q_h, q_t, k_b, k_h, k_s, v_b, v_h, v_s, bias_b, out_b, out_h, out_t,
    gq_b, gq_h, gq_t, gk_b, gk_h, gk_s,
    num_heads, num_queries, num_keys, scale,
    CAUSAL: tl.constexpr, L: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """``out`` is the gradient of the result."""
    b = (tl.program_id(0) // num_heads).to(tl.int64)
    h = tl.program_id(0) % num_heads
    query_T, key_S, dim_D = tl.arange(0, L), tl.arange(0, L), tl.arange(0, D)[None, :]
    q_TD = _tile(q + b * q_b + h * q_h, query_T, num_queries, q_t, dim_D)
    k_SD = _tile(k + b * k_b + h * k_h, key_S, num_keys, k_s, dim_D)
    v_SD = _tile(v + b * v_b + h * v_h, key_S, num_keys, v_s, dim_D)
    out_TD = _tile(out + b * out_b + h * out_h, query_T, num_queries, out_t, dim_D)
    weight_TS = _weights(q_TD, k_SD, bias + b * bias_b, query_T, key_S, num_keys, scale, CAUSAL)
    grad_v_SD = tl.dot(tl.trans(weight_TS.to(v_SD.dtype)), out_TD)
    grad_weight_TS = tl.dot(out_TD, tl.trans(v_SD))
    mean_T = tl.sum(weight_TS * grad_weight_TS, 1)
    grad_score_TS = (weight_TS * (grad_weight_TS - mean_T[:, None]) * scale).to(q_TD.dtype)
    grad_q_TD = tl.dot(grad_score_TS, k_SD)
    grad_k_SD = tl.dot(tl.trans(grad_score_TS), q_TD)
    _store(grad_q + b * gq_b + h * gq_h, query_T, num_queries, gq_t, dim_D, grad_q_TD)
    _store(grad_k + b * gk_b + h * gk_h, key_S, num_keys, gk_s, dim_D, grad_k_SD)
    _store(grad_v + b * gk_b + h * gk_h, key_S, num_keys, gk_s, dim_D, grad_v_SD)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias_BS: Tensor | None) -> Tensor:
        out_BHTd = _like(q)
        _run(_forward, q, k, v, bias_BS, out_BHTd)
        ctx.save_for_backward(q, k, v, bias_BS)
        return out_BHTd

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, bias_BS = ctx.saved_tensors
        grad_BHTd = grads[0] if grads[0].stride(3) == 1 else grads[0].contiguous()
        grad_q, grad_k, grad_v = _like(q), _like(k), _like(v)
        _run(_backward, q, k, v, bias_BS, grad_BHTd, grad_q, grad_k, grad_v)
        return grad_q, grad_k, grad_v, None


def _like(x_BHTd: Tensor) -> Tensor:
    """Room for a tensor [B, H, T, d] in the order B, T, H, d."""
    num_rows, num_heads, length, size = x_BHTd.shape
    return x_BHTd.new_empty(num_rows, length, num_heads, size).transpose(1, 2)


def _run(kernel: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *results: Tensor) -> None:
    (num_rows, num_heads, num_queries, size), num_keys = q.shape, k.shape[2]
    strides = [stride for x in (q, k, v) for stride in x.stride()[:3]] + [0 if bias is None else bias.stride(0)]
    strides += [stride for x in results[:3] for stride in x.stride()[:3]]
    tile = max(16, triton.next_power_of_2(max(num_queries, num_keys)))
    with torch.cuda.device_of(q):
        kernel[(num_rows * num_heads,)](
            *(q, k, v, q if bias is None else bias, *results), *strides,
            num_heads, num_queries, num_keys, size**-0.5,
            CAUSAL=bias is None, L=tile, D=size, num_warps=WARPS[tile][kernel is _backward],
        )  # fmt: skip


def attend(q_BHTd: Tensor, k_BHSd: Tensor, v_BHSd: Tensor, bias_BS: Tensor | None) -> Tensor:
    """softmax(Q Kᵀ / √d + bias) V, without dropout.

    Args:
        bias_BS: of each key, without a gradient; None where each query sees the keys up to its own position.
    """
    result: Tensor = _Attention.apply(q_BHTd, k_BHSd, v_BHSd, bias_BS)
    return result
