"""Signs that a run is going wrong: updates that aren't finite, and a loss that runs away."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from nmt.device import Precision
from nmt.errors import UserError

MAX_SKIPPED = 10
"""So many updates in a row with a loss or gradient that isn't finite end the run."""

HORIZON = 100
"""Updates over which the loss is averaged before it is judged."""

RISE = 1.0
"""Nats a token above its lowest from which a loss has run away: e times the perplexity."""

LONG = 200
"""Updates in a row that a loss must be that far up before anything is said."""


def give_up_if_stuck(skipped_in_a_row: int, precision: Precision, step: int, loss: float) -> None:
    """Raise UserError where too many updates in a row were not finite."""
    # Loss scaling finds its scale by overflowing now and then; that alone is no trouble.
    if skipped_in_a_row <= (MAX_SKIPPED if precision != "fp16" else 3 * MAX_SKIPPED):
        return
    raise UserError(
        f"The loss or its gradient was not finite in {skipped_in_a_row} updates in a row "
        f"(loss {loss} at update {step}).",
        "Lower training.learning_rate, raise training.schedule.warmup_steps, set training.clip_norm, or use "
        "training.precision=fp32; the last checkpoint is intact, so go on with --resume.",
    )


@dataclass
class Divergence:
    """Notices a loss that rises far above its lowest and stays there.

    The training loss is averaged with weights that decay over 100 updates. Where that average has been more than
    one nat a token above its lowest for 200 updates in a row, the run has diverged. Noise can't do that: single
    batches that vary by a whole nat (they hold a handful of sentences then) move the average by 0.07.
    """

    mean: float = 0.0
    weight: float = 0.0
    lowest: float = math.inf
    updates_above: int = 0

    def update(self, loss: float) -> bool:
        """Take in the loss of an update after the warm-up; True once each time the run is found to have diverged."""
        decay = 1 - 1 / HORIZON
        self.mean = decay * self.mean + (1 - decay) * loss
        self.weight = decay * self.weight + (1 - decay)
        if self.weight > 0.5:  # before, the average is that of a few batches
            self.lowest = min(self.lowest, self.average)
        self.updates_above = self.updates_above + 1 if self.average > self.lowest + RISE else 0
        return self.updates_above == LONG

    @property
    def average(self) -> float:
        """The loss of the last hundred updates or so."""
        return self.mean / self.weight

    def state_dict(self) -> dict[str, Any]:
        # JSON has no infinity.
        return {**asdict(self), "lowest": None if math.isinf(self.lowest) else self.lowest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean, self.weight, self.updates_above = state["mean"], state["weight"], state["updates_above"]
        self.lowest = math.inf if state["lowest"] is None else state["lowest"]
