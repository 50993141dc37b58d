"""The kernels for a GPU against PyTorch's functions, in Triton's interpreter where there is no GPU (see conftest)."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.extensions.gpu_kernels.kernels import working_kernels
from nmt.models import attention, layers

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def kernels() -> Any:
    pytest.importorskip("triton", reason="needs Triton: pip install --group dev")
    from nmt.extensions.gpu_kernels import triton_kernels

    return triton_kernels


def assert_gradients_equal(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], inputs: list[Tensor]) -> None:
    draws = [torch.randn_like(value) for value in expected]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)
    pairs = zip(torch.autograd.grad(found, inputs, draws), torch.autograd.grad(expected, inputs, draws), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("queries", "keys"), [(7, 7), (5, 20), (1, 1)])
@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_is_that_of_pytorch(kernels: Any, queries: int, keys: int, is_causal: bool) -> None:
    """Queries, keys and values are parts of one tensor, as the projection of a layer gives them."""
    if is_causal:
        keys = queries
    torch.manual_seed(1)
    joined_BT3Hd = torch.randn(3, max(queries, keys), 3, 2, 16, device=DEVICE, requires_grad=True)
    q, k, v = (part.transpose(1, 2) for part in joined_BT3Hd.unbind(2))
    q, k, v = q[:, :, :queries], k[:, :, :keys], v[:, :, :keys]
    bias_BS = None
    if not is_causal:
        length_B1 = torch.tensor([[keys], [keys // 2 + 1], [1]], device=DEVICE)
        bias_BS = torch.zeros(3, keys, device=DEVICE)
        bias_BS.masked_fill_(torch.arange(keys, device=DEVICE) >= length_B1, float("-inf"))
    mask = None if bias_BS is None else bias_BS[:, None, None]
    expected = F.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal)
    assert_gradients_equal((kernels.attend(q, k, v, bias_BS),), (expected,), [joined_BT3Hd])


@pytest.mark.parametrize("has_residual", [False, True])
def test_norm_is_that_of_pytorch_and_adds_the_gradient_of_the_residual(kernels: Any, has_residual: bool) -> None:
    torch.manual_seed(2)
    x = torch.randn(4, 5, 24, device=DEVICE, requires_grad=True)
    weight_D, bias_D = (torch.rand(24, device=DEVICE, requires_grad=True) for _ in range(2))
    same, normal = kernels.norm(x, weight_D, bias_D, 1e-5)
    expected = F.layer_norm(x, (24,), weight_D, bias_D, 1e-5)
    first = slice(0 if has_residual else 1, None)
    assert_gradients_equal((same, normal)[first], (x * 1, expected)[first], [x, weight_D, bias_D])


def test_without_triton_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nmt.extensions.gpu_kernels.triton_kernels", None)
    assert working_kernels() is None


def test_layers_use_kernels_for_what_they_can_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noted:
        longest = 6

        def __init__(self) -> None:
            self.calls: list[str] = []

        def attend(self, q: Tensor, k: Tensor, v: Tensor, bias_BS: Tensor | None) -> Tensor:
            self.calls.append(f"attend {q.shape[2]}")
            return F.scaled_dot_product_attention(q, k, v, is_causal=bias_BS is None)

        def norm(self, x: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
            self.calls.append("norm")
            return x, F.layer_norm(x, x.shape[-1:], weight_D, bias_D, eps)

    noted = Noted()
    for module in (attention, layers):
        monkeypatch.setattr(module, "gpu_kernels", lambda x: noted)
    for dropout, length in ((0.0, 6), (0.0, 7), (0.1, 6)):
        plain = attention.MultiHeadAttention(32, 2, dropout)
        x_BTD = torch.randn(2, length, 32)
        plain(x_BTD, plain.project(x_BTD), None)
    assert noted.calls == ["attend 6"], "neither of longer sentences, nor with dropout"
    layers.LayerNorm(32)(x_BTD)
    assert noted.calls[1:] == ["norm"]
