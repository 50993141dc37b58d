"""Explanations of log-probabilities that are not finite: the layer or the setting that they come from.

A search notices such a log-probability at the step that computes it. What it has read is then computed once more, in
which each operation of the network is examined.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from nmt.core.errors import BrokenModel
from nmt.decoding.finite import NEW_WEIGHTS, is_valid
from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import LogitsProcessor


def explained_search(
    batch: SearchBatch, tokens_Nt: Tensor, sentence_B: Tensor, processors: Sequence[LogitsProcessor]
) -> BrokenModel:
    """See :func:`nmt.decoding.finite.explained_search`."""
    sentence_N = sentence_B.repeat_interleave(len(tokens_Nt) // len(sentence_B))

    def logits() -> Tensor:
        state = batch.model.start(batch.source_BS, batch.source_length_B).reorder(sentence_N, sentence_B)
        for token_N in tokens_Nt.unbind(1):
            output = batch.model.step(token_N, state)
            state = output.state
        return output.logits_NV.float()

    def is_sound() -> bool:
        return bool(is_valid(logits().log_softmax(1)).all())

    if not is_sound():
        return explained_model(is_sound, tokens_Nt.device)
    logits_NV = logits()
    for processor in processors:
        processor(logits_NV, tokens_Nt, sentence_N, batch)
        if not bool(is_valid(logits_NV).all()):
            return BrokenModel(
                f"The log-probabilities are not finite after the logits processor {type(processor).__name__}.",
                "Correct its options (decoding.logits_processors), or leave it out.",
            )
    changed = batch.options.model_dump(mode="json", exclude_defaults=True)
    settings = ", ".join(f"{name}={value}" for name, value in changed.items() if isinstance(value, float))
    return BrokenModel(
        "The scores of the search are not finite, although the log-probabilities of the model are"
        f"{f' (with {settings})' if settings else ''}.",
        "Correct the settings of the search: decoding in the recipe, or the options of the command.",
    )


def explained_model(is_sound: Callable[[], bool], device: torch.device) -> BrokenModel:
    """See :func:`nmt.decoding.finite.explained_model`."""
    with _Origin() as origin:
        is_sound()
    if torch.is_autocast_enabled(device.type):
        precision = str(torch.get_autocast_dtype(device.type)).removeprefix("torch.")
        with torch.autocast(device.type, enabled=False):
            is_sound_in_float32 = is_sound()
        if is_sound_in_float32:
            return BrokenModel(
                f"The model works in float32, but not in {precision}: {origin} too large for {precision}.",
                "Use --precision fp32; in a recipe, training.precision: fp32."
                + (" bf16 has the range of float32." if precision == "float16" else ""),
            )
    if origin.has_broken_weights:
        return BrokenModel(f"The weights of the model are not finite: {origin.place or 'a layer'}.", NEW_WEIGHTS)
    return BrokenModel(f"The results of the model are not finite: {origin} too large or not numbers.", NEW_WEIGHTS)


class _Origin(TorchFunctionMode):
    """Finds the first operation in this context whose result is not finite although its operands are."""

    def __init__(self) -> None:
        super().__init__()
        self.operation = self.place = ""
        self.largest = 0.0
        """Largest magnitude among the operands."""
        self.has_broken_weights = False

    def __str__(self) -> str:
        """Returns the subject of a sentence and its verb."""
        if not self.operation:
            return "some results are"
        where = f"the results of {self.operation!r} in {self.place or 'a layer'}"
        return f"{where}, which reads numbers up to {self.largest:.1e}, are"

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if not self.operation and "empty" not in name:  # memory that nobody has written holds any numbers
            operands = _numbers((args, kwargs))
            self.has_broken_weights = any(isinstance(x, nn.Parameter) and not _is_finite(x) for x in operands)
            is_origin = all(map(_is_finite, operands)) and not all(map(_is_finite, _numbers(result)))
            if self.has_broken_weights or is_origin:
                self.operation, self.place = name, _running_module()
                self.largest = max((float(x.float().abs().max()) for x in operands), default=0.0)
        return result


def _numbers(value: Any) -> list[Tensor]:
    """Returns the tensors and numbers in arguments or results of an operation, as tensors that aren't empty."""
    values = [torch.as_tensor(leaf) for leaf in tree_leaves(value) if isinstance(leaf, Tensor | float)]
    return [tensor for tensor in values if tensor.numel()]


def _is_finite(value: Tensor) -> bool:
    return bool(value.isfinite().all())


def _running_module() -> str:
    """Returns the name of the innermost module whose method is being called, within the outermost one."""
    modules, frame = [], sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if isinstance(owner := frame.f_locals.get("self"), nn.Module):
            modules.append(owner)
    if not modules:
        return ""
    names = {id(module): name for name, module in modules[-1].named_modules()}
    return names.get(id(modules[0])) or type(modules[0]).__name__
