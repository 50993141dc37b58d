"""A pretend accelerator: a device ``accel`` whose tensors compute on the CPU, but count as tensors of another device.

Code that would fail or wait on a GPU can so be found on a machine without one: an operation on tensors of both devices
is an error, as on a GPU, and each copy to the CPU and each read of a value, for which the CPU would have to wait, is
counted with the line of nmt that asks for it. It is built on PyTorch's experimental backend in Python
(``_setup_privateuseone_for_python_backend``). The kernels are those of the CPU, so what cuDNN or the fused kernels of
CUDA compute is not tested. One process can register one such device, so tests that use it run in a process of their
own.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

import nmt

NAME = "accel"
PACKAGE = Path(nmt.__file__).parent
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::equal")
"""Operations whose result, or its shape, must be known on the CPU."""
GIVES_CPU_SIZES = ("aten::_pack_padded_sequence", "aten::_pad_packed_sequence")
TAKES_CPU_TENSORS = ("aten::copy_", *GIVES_CPU_SIZES)

missing: set[torch.dtype] = set()  # types that the device doesn't have
waits: Counter[str] = Counter()
"""How often each line of nmt made the CPU wait for the device."""
uploads: Counter[str] = Counter()
"""How often each line of nmt copied a tensor to the device."""


class AccelTensor(Tensor):
    """A tensor of the device: a CPU tensor, and the description of itself as one of another device."""

    @staticmethod
    def __new__(cls, real: Tensor) -> "AccelTensor":
        if real.dtype in missing:
            raise TypeError(f"the device has no {real.dtype}, in {_line()}")
        tensor: AccelTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            real.shape,
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            device=torch.device(NAME, 0),
        )
        tensor.content = real
        return tensor

    def tolist(self) -> Any:
        waits[_line()] += 1
        return self.content.tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, *args, **(kwargs or {}))


def _on_cpu(value: Any) -> Any:
    if isinstance(value, AccelTensor):
        return value.content
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == NAME else value


def _leaves(value: Any) -> Iterator[Any]:
    """What an argument or result consists of. PyTorch's own pytrees take most of the time of small operations."""
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    """An argument or result with a function applied to each leaf."""
    return type(value)(_each(function, v) for v in value) if isinstance(value, (list, tuple)) else function(value)


def _line() -> str:
    """The line of nmt that is running."""
    frames = [frame for frame in traceback.extract_stack() if Path(frame.filename).is_relative_to(PACKAGE)]
    if not frames:
        return "outside nmt"
    return f"nmt/{Path(frames[-1].filename).relative_to(PACKAGE).as_posix()}: {frames[-1].line}"


def _run(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Run an operation on the CPU, and give its results as tensors of the device that it would give them on."""
    name = operation._schema.name
    if name in OWN:
        return OWN[name](*args)
    tensors = [leaf for leaf in _leaves((*args, *kwargs.values())) if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, AccelTensor)]
    strangers = [tensor for tensor in tensors if not isinstance(tensor, AccelTensor) and tensor.dim()]
    if ours and strangers and name not in TAKES_CPU_TENSORS:
        raise RuntimeError(f"{name} gets tensors of two devices in {_line()}")
    to_cpu = "device" in kwargs and torch.device(kwargs["device"] or NAME).type == "cpu"
    if name in WAITS or to_cpu or (name == "aten::copy_" and not isinstance(args[0], AccelTensor)):
        waits[_line()] += 1
    if name == "aten::copy_" and strangers and isinstance(args[0], AccelTensor):
        uploads[_line()] += 1
    result = operation(*_each(_on_cpu, args), **{key: _each(_on_cpu, value) for key, value in kwargs.items()})
    if to_cpu:
        return result
    if torch.Tag.inplace_view in operation.tags:  # such as squeeze_: the description changes, too
        with no_dispatch():
            operation(*args, **kwargs)
    for tensor in ours:
        assert tensor.shape == tensor.content.shape, f"{name} has changed the size of a tensor"
    changed = {id(tensor.content): tensor for tensor in ours}
    if name in GIVES_CPU_SIZES:
        return AccelTensor(result[0]), result[1]
    return _each(
        lambda x: (changed[id(x)] if id(x) in changed else AccelTensor(x)) if isinstance(x, Tensor) else x, result
    )


def _made_on_cpu(function: Any) -> Any:
    """A function that makes a tensor; PyTorch's own would make an empty one and resize it."""

    def make(*args: Any, dtype: Any = None, **options: Any) -> Tensor:
        return AccelTensor(function(*args, dtype=dtype))

    return make


def _by_steps(kernel: Any, operation: Any) -> Any:
    """A recurrent kernel that on the device is written out as simple operations."""

    def run(*args: Any) -> Any:
        if args[0].device.type != NAME:
            return kernel(*args)
        is_packed = not isinstance(args[2], list)  # (data, batch sizes, state, weights, …), else (x, state, weights, …)
        return torch._decomp.decomposition_table[operation.data if is_packed else operation.input](*args)

    return run


def _fused_attention(kernel: Any) -> Any:
    """PyTorch's attention, which on the device is one operation where there is no dropout."""

    def run(
        query: Tensor, key: Tensor, value: Tensor, bias: Any = None, dropout_p: float = 0.0, is_causal: bool = False
    ) -> Any:
        if query.device.type != NAME or dropout_p:
            return kernel(query, key, value, bias, dropout_p, is_causal)
        if bias is not None:
            bias = bias.expand(*query.shape[:3], key.shape[2])
        fused = torch.ops.aten._scaled_dot_product_fused_attention_overrideable
        return fused(query, key, value, bias, dropout_p, is_causal)[0]

    return run


def _attention(
    query: Any, key: Any, value: Any, bias: Any = None, rate: float = 0.0, is_causal: bool = False, *_: Any
) -> tuple[Any, ...]:
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output, normaliser = kernel(*map(_on_cpu, (query, key, value)), 0.0, is_causal, attn_mask=_on_cpu(bias))
    nothing = AccelTensor(torch.empty(0))
    sizes = query.shape[2], key.shape[2]
    return AccelTensor(output), AccelTensor(normaliser), nothing, nothing, *sizes, nothing, nothing, nothing


def _attention_backward(*arguments: Any) -> tuple[Any, ...]:
    grad, query, key, value, bias, _, output, normaliser, *rest = arguments
    is_causal = rest[5]
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    tensors = map(_on_cpu, (grad, query, key, value, output, normaliser))
    return *map(AccelTensor, kernel(*tensors, 0.0, is_causal, attn_mask=_on_cpu(bias))), None


OWN = {
    "aten::_scaled_dot_product_fused_attention_overrideable": _attention,
    "aten::_scaled_dot_product_fused_attention_overrideable_backward": _attention_backward,
}


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


def register() -> torch.device:
    """Make the device known to PyTorch; once in a process, before nmt is imported."""
    _setup_privateuseone_for_python_backend(NAME, _Backend())
    everything, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    everything.fallback(_run, "PrivateUse1")  # functions that make tensors
    for name in ("arange", "arange.start", "arange.start_step", "eye", "eye.m"):
        aten.impl(name, _made_on_cpu(getattr(torch, name.partition(".")[0])), "PrivateUse1")
    torch.nn.functional.scaled_dot_product_attention = _fused_attention(  # type: ignore[assignment]
        torch.nn.functional.scaled_dot_product_attention
    )
    torch.utils._foreach_utils._foreach_supported_types.append(AccelTensor)
    _libraries.extend((everything, aten))
    torch.__future__.set_swap_module_params_on_conversion(True)  # parameters stay the same objects
    torch.inference_mode = torch.no_grad  # type: ignore[misc,assignment]  # wrapped tensors can't be inference tensors
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):  # whose kernels differ from device to device
        kernel = _by_steps(getattr(torch, name), getattr(torch.ops.aten, name))
        setattr(torch, name, kernel)
        setattr(torch._VF, name, kernel)
    return torch.device(NAME)


_libraries: list[Any] = []
"""Registrations last as long as these objects."""
