"""Recording of the calls of a model's modules."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

Call = tuple[nn.Module, tuple[Any, ...], Any]
"""A module, its arguments and its output."""


@contextmanager
def recorded_calls(decoder: nn.Module) -> Iterator[list[Call]]:
    """Records the calls of a decoder's modules, in their order, while the block runs."""
    calls: list[Call] = []
    with ExitStack() as hooks:
        for module in decoder.modules():
            hooks.enter_context(module.register_forward_hook(lambda *call: calls.append(call)))
        yield calls
