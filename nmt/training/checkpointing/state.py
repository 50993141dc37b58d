"""What a checkpoint holds besides the weights, so that training goes on exactly: progress, moments, random states."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nmt.models.weights import weights_of


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    """Best validation figure so far, by ``training.metric``."""
    best_step: int = 0
    validations_without_gain: int = 0
    validation_due: bool = False
    """The run was stopped before the validation of this update was over."""
    skipped_in_a_row: int = 0


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
        """Take in the weights after update ``step``."""
        decay = min(self._decay, (1 + step) / (10 + step))
        weights = weights_of(self._model)
        torch._foreach_lerp_(list(self.weights.values()), [weights[name] for name in self.weights], 1 - decay)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from a saved average; from the model's weights where there was none."""
        present = weights_of(self._model)
        for name, value in self.weights.items():
            value.copy_(weights.get(name, present[name]))

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """While this context is open, the model has the averaged weights."""
        weights = weights_of(self._model)
        own = {name: value.clone() for name, value in weights.items()}
        try:
            torch._foreach_copy_(list(weights.values()), [self.weights[name] for name in weights])
            yield
        finally:
            torch._foreach_copy_(list(weights.values()), [own[name] for name in weights])


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """An optimizer's moments and step counts, as PARAMETER/KEY."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave. It is copied, since a file may be mapped rather than read."""
    for name, parameter in model.named_parameters():
        stored = {key.rpartition("/")[2]: t for key, t in tensors.items() if key.rpartition("/")[0] == name}
        if stored:
            # A fused optimizer on a GPU keeps its step counts there, too.
            on_device = parameter.device.type == "cuda"
            optimizer.state[parameter] = {
                key: value.to(parameter.device if value.dim() or on_device else "cpu", copy=True)
                for key, value in stored.items()
            }


def seed_everything(seed: int) -> None:
    """All randomness of a run comes from here."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_tensors(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's random generators."""
    tensors = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return tensors


def load_random(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what :func:`random_tensors` gave."""
    torch.set_rng_state(tensors["cpu"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)


def random_numbers() -> dict[str, Any]:
    """The states of Python's and NumPy's random generators, as JSON."""
    version, internal, gauss = random.getstate()
    numpy = dict(np.random.get_state(legacy=False))
    numpy["state"] = {"key": numpy["state"]["key"].tolist(), "pos": int(numpy["state"]["pos"])}
    return {"python": [version, list(internal), gauss], "numpy": numpy}


def load_random_numbers(state: Mapping[str, Any]) -> None:
    """Put back what :func:`random_numbers` gave."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy = state["numpy"]
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": np.array(numpy["state"]["key"], dtype=np.uint32)}})


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as PREFIX/NAME, to be kept in one file with others."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of PREFIX/NAME as NAME."""
    return {n.removeprefix(f"{prefix}/"): t for n, t in tensors.items() if n.startswith(f"{prefix}/")}
