"""Training state of a checkpoint besides the weights: progress, moments, random states."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class Progress:
    """Progress of a run."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    """Best validation figure so far, by ``training.metric``."""
    best_step: int = 0
    validations_without_gain: int = 0
    validation_due: bool = False
    """Whether the run was stopped before the validation of this update ended."""
    skipped_in_a_row: int = 0


def optimizer_tensors(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Returns the optimizer's tensors, such as moments and step counts, as PARAMETER/KEY."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in parameters.items()}
    return {
        f"{names[parameter]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Restores the tensors of :func:`optimizer_tensors`, copied because a file may be mapped."""
    for name, value in tensors.items():
        of_parameter, _, key = name.rpartition("/")
        device = parameters[of_parameter].device
        # A fused optimizer on a GPU keeps its step counts there, too.
        on_device = value.dim() or device.type == "cuda"
        optimizer.state[parameters[of_parameter]][key] = value.to(device if on_device else "cpu", copy=True)


def seed_everything(seed: int) -> None:
    """Seeds all random generators of a run."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_tensors(device: torch.device) -> dict[str, Tensor]:
    """Returns the states of torch's random generators."""
    tensors = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return tensors


def load_random(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Restores the states of :func:`random_tensors`."""
    torch.set_rng_state(tensors["cpu"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)
