"""Optimizers and learning-rate schedules."""

import math
from abc import ABC, abstractmethod
from collections.abc import Container, Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from nmt.core.device import pick_precision
from nmt.recipe import options as groups
from nmt.recipe.registry import Table
from nmt.recipe.schema import TrainingOptions

Parameters = list[nn.Parameter]
Decay = Annotated[float, Field(ge=0, lt=1)]

ESTIMATE_EVERY, MEASURED_SHARE, MIN_MEASURED = 0.02, 0.1, 5
"""Share of a run's minutes between two estimates of its length, share in which the speed of updates is measured, and
the fewest updates for it."""


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
    def make(self, parameters: Parameters, matrices: Parameters, learning_rate: float) -> torch.optim.Optimizer:
        """Returns the optimizer of some parameters.

        Args:
            parameters: all but ``matrices``.
            matrices: the weight matrices of layers. Embeddings and the output layer are not among them.

        The trainer sets ``lr`` of each parameter group before an update. If the optimizer is fused and has PyTorch's
        option ``capturable``, a GPU repeats its update as a CUDA graph, and ``lr`` is a tensor there. Checkpoints
        contain the tensors of the optimizer's state of each parameter, and nothing else of it.
        """


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), with weight decay as an L2 penalty in the gradient."""

    class Options(groups.Options):
        betas: tuple[Decay, Decay] = Field((0.9, 0.98), description="decay of the means of gradients and squares")
        eps: float = Field(1e-9, gt=0, description="added to the denominator")
        weight_decay: float = Field(0.0, ge=0, description="strength of the decay of weights towards zero")

    options: Options
    kind: type[torch.optim.Adam] = torch.optim.Adam

    def make(self, parameters: Parameters, matrices: Parameters, learning_rate: float) -> torch.optim.Optimizer:
        return self.kind([*parameters, *matrices], lr=learning_rate, fused=True, **self.options.model_dump())


class AdamW(Adam):
    """Adam with weight decay that is decoupled from the gradient (Loshchilov & Hutter 2019)."""

    kind = torch.optim.AdamW


class Muon(Optimizer):
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for the weight matrices of layers.

    Their momentum is made orthogonal, so that an update is equally large in all directions. All other parameters are
    trained by AdamW.
    """

    class Options(AdamW.Options):
        momentum: Decay = Field(0.95, description="decay of the mean of the gradients of matrices")
        update_rms: float = Field(
            0.4, gt=0, description="root mean square of an update of a matrix, as a multiple of the learning rate"
        )
        block_size: int | None = Field(
            None, ge=1, description="multiples of this size are made orthogonal in blocks of it; null: whole matrices"
        )

    options: Options

    def make(self, parameters: Parameters, matrices: Parameters, learning_rate: float) -> torch.optim.Optimizer:
        return _MuonAndAdamW([{"params": parameters}, {"params": matrices}], learning_rate, self.options)


class _MuonAndAdamW(torch.optim.AdamW):
    """Muon for the second group of parameters, AdamW for the first.

    ``torch.optim.Muon`` takes one matrix after another, and twice the time for those of a Transformer of width 128.
    """

    def __init__(self, groups: list[dict[str, Any]], learning_rate: float, options: Muon.Options) -> None:
        adam = options.model_dump(include=set(AdamW.Options.model_fields))
        super().__init__(groups, lr=learning_rate, fused=True, **adam)
        self._momentum, self._update_rms, self._block_size = options.momentum, options.update_rms, options.block_size

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        group = self.param_groups[1]
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return super().step(closure)
        gradients = [gradient for weight in weights if (gradient := weight.grad) is not None]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
            weight.grad = None  # so that AdamW leaves it out
        means = [self.state[weight]["momentum"] for weight in weights]
        rate: float | Tensor = group["lr"]
        # Set by a loss scaler: 1 if a gradient isn't finite, and the update is to be left out.
        if (overflow := getattr(self, "found_inf", None)) is not None:
            is_left_out = overflow > 0
            gradients = [torch.where(is_left_out, *pair) for pair in zip(means, gradients, strict=True)]
            rate = rate * (1 - overflow)
        torch._foreach_lerp_(means, gradients, 1 - self._momentum)
        directions: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for weight, direction in zip(weights, torch._foreach_lerp(gradients, means, self._momentum), strict=True):
            directions.setdefault(weight.shape, []).append((weight, direction))
        # All of one shape together, because operations on such small matrices take longer to start than to run.
        for pairs in directions.values():
            alike = [weight for weight, _ in pairs]
            updates = _orthogonalised(torch.stack([direction for _, direction in pairs]), self._block_size)
            torch._foreach_mul_(alike, 1 - rate * group["weight_decay"])
            if isinstance(rate, Tensor):
                torch._foreach_sub_(alike, (updates * (rate * self._update_rms)).unbind())
            else:
                torch._foreach_add_(alike, updates.unbind(), alpha=-rate * self._update_rms)
        return super().step(closure)


def _orthogonalised(x_NRC: Tensor, block_size: int | None) -> Tensor:
    """Matrices whose blocks have the singular vectors of those of ``x_NRC`` and nearly equal singular values.

    Five steps of the Newton-Schulz iteration with Jordan's coefficients bring the singular values to between about 0.7
    and 1.2. They are scaled so that the root mean square of the elements is 1 (Liu et al. 2025, arXiv:2502.16982,
    section 2.2). A matrix with k times as many rows as columns, such as the gates of an LSTM, is seen as k square ones.
    Multiples of ``block_size`` are divided into blocks, which take less time (Khaled et al. 2025, arXiv:2510.16981).
    """
    rows, columns = x_NRC.shape[1:]
    side = rows if rows % columns else columns
    height, width = (block_size if block_size and size % block_size == 0 else size for size in (side, columns))
    blocks = x_NRC.reshape(-1, rows // height, height, columns // width, width).transpose(2, 3)
    x: Tensor = blocks.flatten(0, 2)
    if pick_precision("auto", x.device) == "bf16":
        x = x.bfloat16()
    x = x.mT if height > width else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    x = (x.mT if height > width else x) * max(height, width) ** 0.5
    return x.view(blocks.shape).transpose(2, 3).reshape(x_NRC.shape).to(x_NRC)


OPTIMIZERS: Table[Optimizer] = Table("optimizer", Optimizer, {"adam": Adam, "adamw": AdamW, "muon": Muon})

OPTIMIZER = "training.optimizer"


def make_optimizer(
    options: TrainingOptions, parameters: Mapping[str, nn.Parameter], matrices: Container[str]
) -> torch.optim.Optimizer:
    """Returns the optimizer of those parameters that are trained.

    Args:
        matrices: names of the weight matrices of layers.
    """
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    others = [parameter for name, parameter in trained.items() if name not in matrices]
    in_layers = [parameter for name, parameter in trained.items() if name in matrices]
    component, own = OPTIMIZERS.choose(options.optimizer, OPTIMIZER)
    return component(own).make(others, in_layers, options.learning_rate)


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
    """Whether the end must be known: ``total_steps``, or the minutes of the run (:meth:`after_update`)."""

    def __init__(self, options: Any, peak: float, total_steps: int | None) -> None:
        self.options, self.peak, self.total_steps = options, peak, total_steps
        self.warmup_steps: int = options.warmup_steps
        self.lengths: dict[int, int] = {}
        """Estimated numbers of updates of the whole run, by the update after which it was estimated."""

    def at(self, step: int) -> float:
        """Returns the rate of update ``step``, counted from 1."""
        return self.peak * step / self.warmup_steps if step < self.warmup_steps else self.after_warmup(step)

    def after_warmup(self, step: int) -> float:
        """Returns the rate of an update after the warm-up."""
        raise NotImplementedError

    def after_validation(self, improved: bool) -> None:
        """Is called after each validation; ``improved``: whether it was the best so far."""

    def after_update(self, step: int, seconds: float, limit: float) -> None:
        """Is called after each update of a run that ends after ``limit`` seconds and not after a number of updates."""

    def lengthen(self, step: int, seconds: float, limit: float) -> None:
        """Is called before the first update of a run that went on for fewer seconds than ``limit`` before."""

    def begins_to_fall(self, step: int) -> bool:
        """Returns whether the rate stays high until update ``step`` and falls from then on, to the end of the run."""
        return False

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

    Where the run ends after ``training.max_minutes`` alone, the number of updates is estimated from their speed, again
    and again. The part of the run that is done, from 0 to 1, never jumps: after the estimate of T updates at update s
    it grows from its value there linearly to 1 at update T. The estimates are in checkpoints, and at the end the recipe
    in the model directory has them as ``lengths``, with which it trains the same weights.
    """

    class Options(Schedule.Options):
        stable_fraction: float = Field(
            0.0, ge=0, lt=1, description="the rate stays at its highest for this share of the run before it falls"
        )
        min_learning_rate: float = Field(0.0, ge=0, description="the rate of the last update")
        lengths: Annotated[dict[int, PositiveInt], groups.SILENT] = Field(
            {},
            description="updates of the whole run as they were estimated after some updates, which a run that ends by "
            "max_minutes writes for its repetition",
        )

    needs_end = True
    options: Options

    def __init__(self, options: Options, peak: float, total_steps: int | None) -> None:
        super().__init__(options, peak, total_steps)
        self.lengths = dict(options.lengths)
        self._has_ended = False
        self._marks: list[tuple[int, float]] = []
        """Update and seconds of the latest estimates, of which the first begins the measurement of the speed."""

    def after_warmup(self, step: int) -> float:
        o = self.options
        if self.lengths or self.total_steps is None:
            start = o.stable_fraction
            done = max(0.0, self.done(step) - start) / (1 - start)
        else:
            first = max(o.warmup_steps, round(o.stable_fraction * self.total_steps))
            done = min(1.0, max(0, step - first) / max(1, self.total_steps - first))
        return o.min_learning_rate + (self.peak - o.min_learning_rate) * (1 + math.cos(math.pi * done)) / 2

    def done(self, step: int) -> float:
        """Returns the part of the run that is done after an update, by the estimates before it; 0 without any."""
        done, start, length = 0.0, 0, math.inf
        for at, estimate in self.lengths.items():
            if at >= step:
                break
            done = at / estimate if length == math.inf else _grown(done, start, length, at)
            start, length = at, estimate
        return _grown(done, start, length, step)

    def after_update(self, step: int, seconds: float, limit: float) -> None:
        marks = self._marks
        self._has_ended = self.done(step) >= 1
        if not marks:  # the first update is slower than the others
            marks.append((step, seconds))
        if seconds < marks[-1][1] + ESTIMATE_EVERY * limit or step < marks[-1][0] + MIN_MEASURED:
            return
        while len(marks) > 1 and marks[1][1] <= seconds - MEASURED_SHARE * limit:
            marks.pop(0)
        first, start = marks[0]
        marks.append((step, seconds))
        updates_left = (limit - seconds) * (step - first) / (seconds - start)
        self.lengths[step] = step + max(1, round(updates_left))

    def lengthen(self, step: int, seconds: float, limit: float) -> None:
        length = step + max(1, round((limit - seconds) * step / max(seconds, 1e-9)))
        # A rate that falls goes on from its value, and one that has fallen is raised again.
        is_falling = not self._has_ended and self.done(step) > self.options.stable_fraction
        self.lengths = self.lengths | {step: length} if is_falling else {step: length}
        self._has_ended = False

    def begins_to_fall(self, step: int) -> bool:
        return bool(self.lengths) and self.done(step) < self.options.stable_fraction <= self.done(step + 1)

    @property
    def end(self) -> str:
        return "the learning rate has fallen to its end" if self._has_ended else ""

    def state_dict(self) -> dict[str, Any]:
        return {"lengths": list(self.lengths.items()), "has_ended": self._has_ended} if self.lengths else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.lengths = {int(step): int(length) for step, length in state["lengths"]}
            self._has_ended = bool(state["has_ended"])


def _grown(done: float, start: int, length: float, step: int) -> float:
    """Returns the part of a run that is done, where ``done`` is the one at ``start`` and 1 that at ``length``."""
    return min(1.0, done + (1 - done) * (step - start) / max(1, length - start))


class Plateau(Schedule):
    """Multiplies the rate by ``factor`` when more than ``patience`` validations in a row bring no improvement."""

    class Options(Schedule.Options):
        factor: float = Field(0.5, gt=0, lt=1, description="what the rate is multiplied by")
        patience: int = Field(2, ge=0, description="validations in a row without a gain that don't change it")
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


def make_schedule(options: TrainingOptions, total_steps: int | None) -> Schedule:
    """Returns the schedule of a run of ``total_steps`` updates."""
    component, own = SCHEDULES.choose(options.schedule, SCHEDULE)
    return component(own, options.learning_rate, total_steps)
