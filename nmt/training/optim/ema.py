"""Exponential moving average of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nmt.models.weights import weights_of


class MovingAverage:
    """Exponential moving average of a model's weights, with a shorter memory in the first updates.

    Args:
        model: averaged from now on.
        decay: d in average <- d average + (1 - d) weights; at update s at most (1 + s) / (10 + s).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self.weights = {name: weight.clone() for name, weight in weights_of(model).items()}

    def update(self, step: int) -> None:
        """Updates the average with the weights after update ``step``."""
        decay = min(self._decay, (1 + step) / (10 + step))
        weights = weights_of(self._model)
        torch._foreach_lerp_(list(self.weights.values()), [weights[name] for name in self.weights], 1 - decay)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Restores a saved average; weights without one are those of the model."""
        present = weights_of(self._model)
        for name, value in self.weights.items():
            value.copy_(weights.get(name, present[name]))

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Gives the model the averaged weights inside this context."""
        weights = weights_of(self._model)
        own = {name: value.clone() for name, value in weights.items()}
        try:
            torch._foreach_copy_(list(weights.values()), [self.weights[name] for name in weights])
            yield
        finally:
            torch._foreach_copy_(list(weights.values()), [own[name] for name in weights])
