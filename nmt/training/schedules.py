"""Learning-rate schedules, each with a linear warm-up."""

import math
from typing import Any

from nmt.config import TrainingOptions


class LearningRate:
    """The learning rate of each update.

    After ``warmup_steps`` w of linear warm-up to the peak r, at update s (from 1):

    - ``constant``: r
    - ``inverse_sqrt``: r √(w / s) (Vaswani et al. 2017)
    - ``cosine``: from r down to ``min_learning_rate`` in half a cosine, at the last update (Loshchilov & Hutter 2017);
      after a ``stable_fraction`` of all updates at r (warm-up, stable, decay: Hu et al. 2024, arXiv:2404.06395)
    - ``plateau``: r, times ``plateau_factor`` whenever validation has not gained for ``plateau_patience`` turns

    Args:
        options: of the recipe.
        total_steps: updates of the whole run; only cosine needs it.
    """

    def __init__(self, options: TrainingOptions, total_steps: int | None) -> None:
        self._options, self._total = options, total_steps
        self._factor = 1.0
        self._bad_validations = 0

    def at(self, step: int) -> float:
        """The rate of update ``step``, counted from 1."""
        o = self._options
        if step < o.warmup_steps:
            return o.learning_rate * step / o.warmup_steps
        if o.schedule == "inverse_sqrt":
            return o.learning_rate * math.sqrt(max(o.warmup_steps, 1) / step)
        if o.schedule == "cosine":
            assert self._total is not None
            start = max(o.warmup_steps, round(o.stable_fraction * self._total))
            done = min(1.0, max(0, step - start) / max(1, self._total - start))
            return o.min_learning_rate + (o.learning_rate - o.min_learning_rate) * (1 + math.cos(math.pi * done)) / 2
        return o.learning_rate * self._factor

    def after_validation(self, improved: bool) -> None:
        """Lower the rate of ``plateau`` where it is time to."""
        self._bad_validations = 0 if improved else self._bad_validations + 1
        if self._options.schedule == "plateau" and self._bad_validations > self._options.plateau_patience:
            self._factor *= self._options.plateau_factor
            self._bad_validations = 0

    @property
    def exhausted(self) -> bool:
        """Whether ``plateau`` has gone below ``min_learning_rate``: nothing more is to be gained."""
        o = self._options
        return o.schedule == "plateau" and o.learning_rate * self._factor < o.min_learning_rate

    def state_dict(self) -> dict[str, Any]:
        return {"factor": self._factor, "bad_validations": self._bad_validations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._factor, self._bad_validations = state["factor"], state["bad_validations"]
