"""Matrix products inside a loop over positions, whose matrices get their gradients from one product after the loop.

PyTorch computes the gradient of a matrix at each step and adds them up. With few rows a step, this takes longer than
the products of the network itself, and in half precision each sum is rounded. In a :func:`time_loop` the functions here
leave the gradient of the matrix out of the step. The gradients of the results of all steps are put together, and one
product with all inputs gives that of the matrix.

Gradients remain those of autograd: each product has a further input, its part of a tensor of zeros that takes no
memory and isn't read, and the gradient of that tensor is what the product after the loop needs.

    R  rows of an input at a step     D  width of an input     G  width of a result     T  steps of the loop
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nmt.core.device import product_dtype


@contextmanager
def time_loop(num_steps: int) -> Iterator[None]:
    """Context in which the functions of this module compute the gradients of matrices for all steps at once. A matrix
    may be used more often than at each of the T steps, as in a loop within the loop."""
    if torch.compiler.is_compiling():  # the compiler takes neither the context nor these functions
        yield
        return
    token = _current.set(_Loop(num_steps) if num_steps > 2 and torch.is_grad_enabled() else None)
    try:
        yield
    finally:
        _current.reset(token)


def step_product(x: Tensor, weight_GD: Tensor, added: Tensor | None = None) -> Tensor:
    """x Wᵀ, and ``added`` to it. [..., G]

    Args:
        x: input of a step. [..., D]
        weight_GD: in a loop the same tensor at each step, such as a parameter: a new view of it counts as another one.
        added: a bias [G], or [R, G] for an input [R, D].
    """
    if (loop := _loop()) is None or not weight_GD.requires_grad:
        x = x.to(product_dtype(weight_GD))  # the state of a cell can be wider than its weights
        if added is None or added.dim() == 1:
            return F.linear(x, weight_GD, added)
        return torch.addmm(added, x, weight_GD.t())
    y = loop.product(x.flatten(0, -2), weight_GD, lambda: weight_GD).view(*x.shape[:-1], -1)
    return y if added is None else added.to(y.dtype) + y


def step_layer(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer. [..., G]"""
    if _loop() is None:
        return cast(Tensor, layer(x.to(product_dtype(layer.weight))))
    return step_product(x, layer.weight, layer.bias)


def step_bmm(x_BRD: Tensor, matrix_BDG: Tensor) -> Tensor:
    """``torch.bmm``; in a loop ``matrix_BDG`` is the same tensor at each step. [B, R, G]"""
    if (loop := _loop()) is None or not matrix_BDG.requires_grad:
        return torch.bmm(x_BRD, matrix_BDG)
    return loop.product(x_BRD, matrix_BDG, lambda: matrix_BDG.mT)


def _loop() -> "_Loop | None":
    return None if torch.compiler.is_compiling() else _current.get()


class _Loop:
    """The matrices that a loop has used so far."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.seen: dict[int, Tensor] = {}
        """Tensors by id; they are kept, so that no other tensor gets the id."""
        self.products: dict[int, _Products] = {}

    def product(self, x: Tensor, key: Tensor, make_weight: Callable[[], Tensor]) -> Tensor:
        """x Wᵀ, where W is made of the tensor ``key``."""
        dtype = product_dtype(key)
        x = x.to(dtype)
        if id(key) not in self.seen:  # a tensor that is made anew at each step is seen once
            self.seen[id(key)] = key
            return x @ make_weight().to(dtype).mT
        products = self.products.get(id(key))
        if products is None or not products.num_left:
            products = self.products[id(key)] = _Products(make_weight().to(dtype), x.shape[-2], self.num_steps)
        return products(x)


class _Products:
    """Up to T products with one matrix, [G, D] or a batch of them, of inputs with the same number of rows."""

    def __init__(self, weight: Tensor, num_rows: int, num_steps: int) -> None:
        self.weight, self.constant = weight, weight.detach()
        self.num_rows, self.num_left = num_rows, num_steps
        self.inputs: list[Tensor] = []
        shape = (num_steps, *weight.shape[:-2], num_rows, weight.shape[-2])
        self.parts = iter(_zeros(weight, self.inputs, shape).unbind(0))

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[-2] != self.num_rows:
            return x @ self.weight.mT
        self.num_left -= 1
        self.inputs.append(x.detach())
        return _product(x, self.constant, next(self.parts))


class _Zeros(torch.autograd.Function):
    """Zeros [T, …, R, G], whose gradient is that of the results of T products; from it comes that of the weight."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        ctx.inputs = inputs
        return weight.new_zeros(()).expand(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        grad_RG = torch.cat(grads[0][: len(ctx.inputs)].unbind(0), dim=-2)
        return grad_RG.mT @ torch.cat(ctx.inputs, dim=-2), None, None


class _Product(torch.autograd.Function):
    """x Wᵀ, with the gradient of the result as that of the zeros."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, zeros: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return x @ weight.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, Tensor]:
        (weight,) = ctx.saved_tensors
        return grads[0] @ weight, None, grads[0]


_zeros: Callable[..., Tensor] = _Zeros.apply
_product: Callable[..., Tensor] = _Product.apply
_current: ContextVar[_Loop | None] = ContextVar("time_loop", default=None)
