"""``training.compile``: the model's forward pass by torch.compile."""

from collections.abc import Callable
from typing import Any

import torch

from nmt.errors import UserError
from nmt.models.interfaces import DecoderOutput
from nmt.models.seq2seq import Seq2Seq

Forward = Callable[..., DecoderOutput]

_REMEDY = (
    "torch.compile needs a C++ compiler for the CPU and Triton for a GPU: install what is missing, "
    "or go on with --set training.compile=false."
)


def compiled_forward(model: Seq2Seq) -> Forward:
    """The same forward pass, compiled when it is first called, for batches of any shape.

    Only the function is compiled: the model itself stays as it is, and so do the names of its parameters, what
    checkpoints hold, validation and search.

    Raises:
        UserError: nothing can be compiled here; from this function, or from the first call of what it gives.
    """
    try:
        compiled = torch.compile(model.forward, dynamic=True)
    except RuntimeError as error:  # a version of Python that PyTorch can't compile for yet
        raise _failure(error) from None

    def forward(*arguments: Any, **named: Any) -> DecoderOutput:
        try:
            return compiled(*arguments, **named)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            raise _failure(error) from error

    return forward


def _failure(error: Exception) -> UserError:
    reason = str(error).strip().partition("\n")[0]
    return UserError(f"training.compile is on, but the model can't be compiled: {reason.rstrip('.')}.", _REMEDY)
