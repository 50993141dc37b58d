"""Small layers and functions that the models share: dropout, embeddings, positions, masks."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nmt.core.device import float64_device, product_dtype
from nmt.models.gpu_kernels import gpu_kernels

LayerT = TypeVar("LayerT", bound=nn.Module)
MANY_ROWS = 2048  # rows from which on a GPU computes a product with ones in less time than a sum over rows
_LOWEST = torch.iinfo(torch.int64).min


class Layers(nn.ModuleList, Generic[LayerT]):
    """A ``ModuleList`` whose elements keep their type: ``Layers[EncoderLayer]`` gives encoder layers."""

    def __iter__(self) -> Iterator[LayerT]:
        return cast("Iterator[LayerT]", super().__iter__())


def length_mask(length_B: Tensor, longest: int) -> Tensor:
    """True at positions before each length. [B, longest]"""
    return torch.arange(longest, device=length_B.device) < length_B[:, None]


def reverse_within(x_BSD: Tensor, length_B: Tensor) -> Tensor:
    """Each sequence in reverse order up to its own length; padding stays where it is."""
    position_S = torch.arange(x_BSD.shape[1], device=x_BSD.device)
    mirrored_BS = length_B[:, None] - 1 - position_S
    index_BS = torch.where(mirrored_BS >= 0, mirrored_BS, position_S)
    return x_BSD.gather(1, index_BS[:, :, None].expand_as(x_BSD))


def at_end(steps_TB: Tensor, length_B: Tensor | None) -> Tensor:
    """Returns the values at each sentence's last position, T if no length is given. [B, …]"""
    if length_B is None:
        return steps_TB[-1]
    return steps_TB[length_B - 1, torch.arange(len(length_B), device=length_B.device)]


def inverse_softplus(value: float) -> float:
    """The x whose softplus, log(1 + e^x), is a positive value."""
    return value + math.log(-math.expm1(-value))


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014): zero elements with probability ``rate`` in training, and scale the others by
    1 / (1 - rate).

    On a CPU, drawing a Bernoulli number for each element costs more than the matrix product before it. There, one
    64-bit draw gives eight bytes, and a byte compared with a threshold decides an element: the rate is rounded to
    1/256 … 255/256, and the scale uses the rounded rate, so that the expectation is exact. Elsewhere PyTorch's fused
    kernel is the fastest.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():  # the compiler fuses a mask of its own
            return nn.functional.dropout(x, self.rate, training=True)
        return x * byte_mask(x, self.rate)


def byte_mask(x: Tensor, rate: float) -> Tensor:
    """A mask like ``x`` of zeros and 1 / (1 - rate), from random bytes."""
    threshold = min(max(1, round(rate * 256)), 255)
    draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(_LOWEST, None)
    mask = torch.empty_like(x, memory_format=torch.contiguous_format)
    # Compared into a mask of its own type: as a bool first, it takes five times as long.
    torch.ge(draws.view(torch.uint8)[: x.numel()].view(x.shape), threshold, out=mask)
    return mask.mul_(256 / (256 - threshold))


class Linear(nn.Linear):
    """A linear layer; see :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight_GD: Tensor, bias_G: Tensor) -> Tensor:
    """x Wᵀ + b. On a GPU the gradient of the bias is a product with ones. [..., G]"""
    plain = x.is_cpu or not torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type)
    if plain or torch.compiler.is_compiling():
        return nn.functional.linear(x, weight_GD, bias_G)
    return _linear(x, weight_GD, bias_G)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_GD: Tensor, bias_G: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight_GD)
        return nn.functional.linear(x, weight_GD, bias_G)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight_GD = ctx.saved_tensors
        grad_NG = grads[0].flatten(0, -2)
        many = len(grad_NG) >= MANY_ROWS
        grad_bias_G = (grad_NG.new_ones(1, len(grad_NG)) @ grad_NG)[0] if many else grad_NG.sum(0)
        return grads[0] @ weight_GD, grad_NG.t() @ x.flatten(0, -2), grad_bias_G


_linear: Callable[..., Tensor] = _Linear.apply


class LayerNorm(nn.LayerNorm):
    """Layer norm (Ba et al. 2016) in the type of its input; sums are computed in float32 in any case.

    On a GPU, autocast would widen the input, and what reads the result would narrow it again: memory traffic for
    nothing.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x)[1]

    def branch(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ``x`` for the residual connection around a sublayer, and its norm for the sublayer.

        With kernels for it, the backward pass adds the gradients of both while it computes that of the norm.
        """
        if (kernels := gpu_kernels(x)) is not None and self.weight.dtype == x.dtype:
            return kernels.norm(x, self.weight, self.bias, self.eps)
        if x.device.type == "cpu":
            return x, super().forward(x)
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            return x, nn.functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class Embedding(nn.Module):
    """Ids to vectors; that of ``pad`` is zero.

    Args:
        scale: multiply by the square root of D (Vaswani et al. 2017), so that an embedding that is shared with
            the output layer has the size of the position code that is added to it.
    """

    def __init__(
        self, vocabulary_size: int, size: int, pad: int, scale: bool = False, weight: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, size, padding_idx=pad)
        self.size, self.pad, self.scale = size, pad, math.sqrt(size) if scale else 1.0
        if weight is not None:
            self.table.weight = weight
        else:
            with torch.no_grad():
                nn.init.normal_(self.table.weight, std=size**-0.5)
                self.table.weight[pad].zero_()

    @property
    def weight(self) -> nn.Parameter:
        return cast(nn.Parameter, self.table.weight)

    def is_real(self, ids: Tensor) -> Tensor:
        """True where there is a token, False at PAD."""
        return ids.ne(self.pad)

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.table(ids)
        vectors = vectors.to(product_dtype(vectors))
        return vectors * self.scale if self.scale != 1.0 else vectors


PositionKind = Literal["sinusoidal", "sinusoidal_halves", "sinusoidal_fairseq", "learned"]


def sinusoids(
    num_positions: int, size: int, device: torch.device | None = None, kind: PositionKind = "sinusoidal"
) -> Tensor:
    """Sinusoidal position code of a kind. [num_positions, size]

    - ``sinusoidal`` (Vaswani et al. 2017, section 3.5): PE(p, 2i) = sin(p / 10000^(2i/D)) and
      PE(p, 2i+1) = cos(p / 10000^(2i/D)).
    - ``sinusoidal_halves``, that of Marian: all sines come before the cosines. It is computed in double precision, as
      it is in the programs that other models come from.
    - ``sinusoidal_fairseq``, that of fairseq and tensor2tensor: frequencies are 10000^(-i/(D/2 - 1)) for i from 0 to
      D/2 - 1, all sines come before the cosines, and the first token has position 2.
    """
    dtype, half = torch.float64 if kind == "sinusoidal_halves" else torch.float32, size // 2
    final, device = device, float64_device(device) if device and dtype == torch.float64 else device
    position = torch.arange(num_positions, device=device, dtype=dtype)[:, None]
    if kind == "sinusoidal_fairseq":
        position, exponent = position + 2, torch.arange(half, device=device, dtype=dtype)
        frequency = torch.exp(exponent * (-math.log(10000.0) / max(half - 1, 1)))
    else:
        frequency = torch.exp(torch.arange(0, size, 2, device=device, dtype=dtype) * (-math.log(10000.0) / size))
    angle, code = position * frequency, torch.zeros(num_positions, size, device=device)
    sines, cosines = angle.sin(), angle[:, :half].cos()
    if kind == "sinusoidal":
        code[:, 0::2], code[:, 1::2] = sines, cosines
    else:
        code[:, : sines.shape[1]], code[:, sines.shape[1] : sines.shape[1] + half] = sines, cosines
    return code.to(final)


class Positions(nn.Module):
    """Adds a position code to embedded tokens: sinusoidal, of any length, or learned up to ``max_positions``."""

    def __init__(self, size: int, kind: PositionKind = "sinusoidal", max_positions: int = 512) -> None:
        super().__init__()
        self.size, self.kind = size, kind
        self.learned: nn.Embedding | None = None
        if kind == "learned":
            self.learned = nn.Embedding(max_positions, size)
            nn.init.normal_(self.learned.weight, std=size**-0.5)
        self._code = torch.empty(0, size)

    def forward(self, x_BTD: Tensor, start: int | Tensor = 0) -> Tensor:
        """``start`` is the position of the first token; as a tensor [1] that of the only one, and then
        :meth:`sinusoidal` has been called with enough positions."""
        length = x_BTD.shape[1]
        if self.learned is not None:
            # Beyond the last learned position, the last one is the best guess there is.
            last = self.learned.num_embeddings - 1
            code: Tensor = self.learned((torch.arange(length, device=x_BTD.device) + start).clamp(max=last))
        elif isinstance(start, Tensor):
            known = self.sinusoidal(1, x_BTD.device)
            code = known.index_select(0, start.clamp(max=len(known) - 1))
        else:
            code = self.sinusoidal(start + length, x_BTD.device)[start : start + length]
        return x_BTD + code.to(x_BTD.dtype)

    def sinusoidal(self, num_positions: int, device: torch.device) -> Tensor:
        """The code of at least ``num_positions`` positions, computed once. [positions, D]"""
        known = self._code  # another thread may put a shorter one in its place
        if len(known) < num_positions or known.device != device:
            # Twice what is needed now: step by step, a long sentence must not ask anew at each.
            self._code = known = sinusoids(max(2 * num_positions, 256), self.size, device, self.kind)
        return known
