"""The state of a run: what changes while it trains, and how checkpoints hold it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.data.batching import BatchStream
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import weights_of
from nmt.training.checkpoint import CheckpointFolder
from nmt.training.distributed import ProcessGroup
from nmt.training.meter import Divergence, Meter
from nmt.training.optimization import Schedule
from nmt.training.techniques import Technique
from nmt.training.weights import Factors, MovingAverage


@dataclass
class Progress:
    """Progress of a run."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    """Best validation figure so far, by ``training.metric``."""
    best_step: int = 0
    best_loss: float | None = None
    validations_without_gain: int = 0
    validation_due: bool = False
    """Whether the run was stopped before the validation of this update ended."""
    skipped_in_a_row: int = 0


@dataclass
class RunState:
    """The parts of a run that a checkpoint holds; resuming restores all of them exactly."""

    model: Seq2Seq
    optimizer: torch.optim.Optimizer
    trained: Mapping[str, nn.Parameter]
    """Parameters of the optimizer, by name."""
    lora: Factors | None
    average: MovingAverage | None
    schedule: Schedule
    schedule_type: str
    """``training.schedule.type``; a run that is resumed with another schedule begins that one anew."""
    scaler: torch.amp.GradScaler | None
    """The scaler of the loss in fp16; None with another precision."""
    batches: BatchStream
    techniques: Mapping[str, Technique]
    meter: Meter = field(default_factory=Meter)
    progress: Progress = field(default_factory=Progress)
    divergence: Divergence = field(default_factory=Divergence)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights that translate: their moving average, or those of the model."""
        return self.average.weights if self.average is not None else weights_of(self.model)

    @property
    def _moments(self) -> str:
        """The name of the optimizer; those of Adam and AdamW are the same."""
        return type(self.optimizer).__name__.removesuffix("W")

    def tensors(self, process_group: ProcessGroup) -> dict[str, Mapping[str, Tensor]]:
        """Returns the tensors besides the model's weights, by group and name; called in all ranks."""
        tensors: dict[str, Mapping[str, Tensor]] = {
            f"random-{rank}": states
            for rank, states in enumerate(process_group.gather(random_tensors(self.model.device)))
        }
        tensors["optimizer"] = optimizer_tensors(self.optimizer, self.trained)
        if self.lora is not None:
            tensors["lora"] = self.lora.factors
        if self.average is not None:
            tensors["average"] = self.average.weights
        return tensors

    def values(self) -> dict[str, Any]:
        """Returns all other state, as JSON values."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "optimizer": {self._moments: {}},
            "progress": asdict(self.progress),
            "divergence": asdict(self.divergence),
            "schedule": {self.schedule_type: self.schedule.state_dict()},
            "techniques": {name: technique.state_dict() for name, technique in self.techniques.items()},
        }

    def load(self, checkpoint: Path, rank: int) -> None:
        """Restores a checkpoint.

        Raises:
            UserError: a file is damaged, or doesn't belong to this run.
        """
        tensors, values = CheckpointFolder.load(checkpoint, self.model)
        if self._moments in values.get("optimizer", [self._moments]):
            load_optimizer(self.optimizer, self.trained, tensors["optimizer"])
        else:
            say("the moments begin anew: the run had another optimizer")
        if self.lora is not None:
            self.lora.load(tensors["lora"])
        if self.average is not None:
            self.average.load(tensors["average"])
        try:
            self._load_values(values)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{checkpoint / 'state.json'} is not the state of this run: {type(error).__name__}: {error}.",
                f"Delete {checkpoint} to resume from the one before.",
            ) from error
        if own := tensors[f"random-{rank}"]:  # none if there are more ranks than before
            load_random(own, self.model.device)

    def _load_values(self, values: dict[str, Any]) -> None:
        for own, saved in ((self.progress, values["progress"]), (self.divergence, values["divergence"])):
            if not all(isinstance(value, int | float | None) for value in saved.values()):
                raise TypeError(f"{saved} has a value that is not a number")
            vars(own).update(saved)
        self.progress.skipped_in_a_row = 0
        for name, part in self._parts().items():
            if values.get(name):  # there is no scaler's if the run had another precision
                part.load_state_dict(values[name])
        if (before := values["schedule"].get(self.schedule_type)) is not None:
            self.schedule.load_state_dict(before)
        for name, technique in self.techniques.items():
            if name in values["techniques"]:
                technique.load_state_dict(values["techniques"][name])
            elif technique.resets_best:
                say(f"training.techniques.{name} is new in this run: the best model is looked for anew")
                self.progress.best, self.progress.best_step, self.progress.validations_without_gain = None, 0, 0

    def _parts(self) -> dict[str, Any]:
        scaler = {} if self.scaler is None else {"scaler": self.scaler}
        return {"batches": self.batches, **scaler, "meter": self.meter}


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


def random_tensors(device: torch.device) -> dict[str, Tensor]:
    """Returns the states of torch's random generators."""
    own = {} if device.type == "cpu" else {device.type: torch.get_device_module(device).get_rng_state(device)}
    return {"cpu": torch.get_rng_state()} | own


def load_random(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Restores the states of :func:`random_tensors`."""
    torch.set_rng_state(tensors["cpu"])
    if device.type != "cpu" and device.type in tensors:
        torch.get_device_module(device).set_rng_state(tensors[device.type], device)
