"""Optimizers and learning-rate schedules."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn

from nmt.recipe import options as groups
from nmt.recipe.registry import Table


class Optimizer(ABC):
    """Makes the PyTorch optimizer that a recipe names in ``training.optimizer``.

    Args:
        options: an instance of ``Options``.
    """

    class Options(groups.Options):
        """Options of the optimizer; the learning rate is ``training.learning_rate``."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def make(self, parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """Returns the optimizer of some parameters.

        The trainer sets ``lr`` of each parameter group before an update. Checkpoints contain the tensors of the
        optimizer's state of each parameter, and nothing else of it.
        """


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), with weight decay as an L2 penalty in the gradient."""

    class Options(groups.Options):
        betas: tuple[float, float] = Field((0.9, 0.98), description="decay of the means of gradients and squares")
        eps: float = Field(1e-9, gt=0, description="added to the denominator")
        weight_decay: float = Field(0.0, ge=0, description="strength of the decay of weights towards zero")

    options: Options
    kind: type[torch.optim.Adam] = torch.optim.Adam

    def make(self, parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        return self.kind(parameters, lr=learning_rate, fused=True, **self.options.model_dump())


class AdamW(Adam):
    """Adam with weight decay that is decoupled from the gradient (Loshchilov & Hutter 2019)."""

    kind = torch.optim.AdamW


OPTIMIZERS: Table[Optimizer] = Table("optimizer", Optimizer, {"adam": Adam, "adamw": AdamW})

OPTIMIZER = "training.optimizer"


class Schedule:
    """The learning rate of each update: linear from 0 to the peak in the warm-up, and then :meth:`after_warmup`.

    Args:
        options: an instance of ``Options``.
        peak: the highest rate.
        total_steps: updates of the whole run; None where their number isn't known.
    """

    class Options(groups.Options):
        """Options of all schedules."""

        warmup_steps: int = Field(1000, ge=0, description="updates of linear warm-up")

    needs_end: ClassVar[bool] = False
    """Whether ``total_steps`` must be known."""

    def __init__(self, options: Any, peak: float, total_steps: int | None) -> None:
        self.options, self.peak, self.total_steps = options, peak, total_steps
        self.warmup_steps: int = options.warmup_steps

    def at(self, step: int) -> float:
        """Returns the rate of update ``step``, counted from 1."""
        return self.peak * step / self.warmup_steps if step < self.warmup_steps else self.after_warmup(step)

    def after_warmup(self, step: int) -> float:
        """Returns the rate of an update after the warm-up."""
        raise NotImplementedError

    def after_validation(self, improved: bool) -> None:
        """Is called after each validation; ``improved``: whether it was the best so far."""

    @property
    def end(self) -> str:
        """Reason to end training now; empty without one."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for a checkpoint, as JSON values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a :meth:`state_dict`."""


class Constant(Schedule):
    """A constant rate after the warm-up."""

    def after_warmup(self, step: int) -> float:
        return self.peak


class InverseSqrt(Schedule):
    """r √(w / s) at update s, with the peak r after w updates of warm-up (Vaswani et al. 2017)."""

    def after_warmup(self, step: int) -> float:
        return self.peak * math.sqrt(max(self.warmup_steps, 1) / step)


class Cosine(Schedule):
    """From the peak down to ``min_learning_rate`` in half a cosine, at the last update (Loshchilov & Hutter 2017).

    With a ``stable_fraction``, the rate is the peak until then: warm-up, stable, decay (Hu et al. 2024,
    arXiv:2404.06395).
    """

    class Options(Schedule.Options):
        stable_fraction: float = Field(
            0.0, ge=0, lt=1, description="the rate stays at its highest for this share of the run before it falls"
        )
        min_learning_rate: float = Field(0.0, ge=0, description="the rate of the last update")

    needs_end = True
    options: Options

    def after_warmup(self, step: int) -> float:
        assert self.total_steps is not None
        o = self.options
        start = max(o.warmup_steps, round(o.stable_fraction * self.total_steps))
        done = min(1.0, max(0, step - start) / max(1, self.total_steps - start))
        return o.min_learning_rate + (self.peak - o.min_learning_rate) * (1 + math.cos(math.pi * done)) / 2


class Plateau(Schedule):
    """Multiplies the rate by ``factor`` when more than ``patience`` validations in a row bring no improvement."""

    class Options(Schedule.Options):
        factor: float = Field(0.5, gt=0, lt=1, description="what the rate is multiplied by")
        patience: int = Field(2, ge=0, description="validations without a gain before it is")
        min_learning_rate: float = Field(0.0, ge=0, description="training stops below this rate")

    options: Options

    def __init__(self, options: Options, peak: float, total_steps: int | None) -> None:
        super().__init__(options, peak, total_steps)
        self._factor, self._bad_validations = 1.0, 0

    def after_warmup(self, step: int) -> float:
        return self.peak * self._factor

    def after_validation(self, improved: bool) -> None:
        self._bad_validations = 0 if improved else self._bad_validations + 1
        if self._bad_validations > self.options.patience:
            self._factor, self._bad_validations = self._factor * self.options.factor, 0

    @property
    def end(self) -> str:
        too_low = self.peak * self._factor < self.options.min_learning_rate
        return "the learning rate fell below training.schedule.min_learning_rate" if too_low else ""

    def state_dict(self) -> dict[str, Any]:
        return {"factor": self._factor, "bad_validations": self._bad_validations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._factor, self._bad_validations = state["factor"], state["bad_validations"]


SCHEDULES: Table[Schedule] = Table(
    "schedule",
    Schedule,
    {"constant": Constant, "inverse_sqrt": InverseSqrt, "cosine": Cosine, "plateau": Plateau},
)

SCHEDULE = "training.schedule"
