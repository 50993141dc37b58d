"""Errors for log-probabilities that are not finite. An extension explains them, by the hooks ``broken_search`` and
``broken_model``, which are called with the arguments of these functions."""

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nmt.core.errors import BrokenModel
from nmt.decoding.hypotheses import SearchBatch
from nmt.recipe.registry import hooks

if TYPE_CHECKING:
    from nmt.decoding.processors import LogitsProcessor

NEW_WEIGHTS = "Use another checkpoint, or train again with a lower training.learning_rate."


def is_valid(log_p: Tensor) -> Tensor:
    """Returns whether log-probabilities are neither NaN nor positive infinity; -inf stands for what is forbidden."""
    return log_p < inf


def explained_search(
    batch: SearchBatch, tokens_Nt: Tensor, sentence_B: Tensor, processors: Sequence["LogitsProcessor"]
) -> BrokenModel:
    """Returns the error for a step of a search whose log-probabilities are not finite.

    ``tokens_Nt`` is what the hypotheses have read, and ``sentence_B`` are the sentences that are still searched.
    """
    explanations = (explain(batch, tokens_Nt, sentence_B, processors) for explain in hooks("broken_search"))
    return next(explanations, None) or _unexplained()


def explained_model(is_sound: Callable[[], bool], device: torch.device) -> BrokenModel:
    """Returns the error for results of a model that are not finite. ``is_sound`` computes them once more, and returns
    whether they are finite."""
    return next((explain(is_sound, device) for explain in hooks("broken_model")), None) or _unexplained()


def _unexplained() -> BrokenModel:
    return BrokenModel("The results of the model or of the search are not finite.", NEW_WEIGHTS)
