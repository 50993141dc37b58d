"""Adaptive computation time (Graves 2016): units that say when a network has thought enough.

At ponder step n of an input step, a halting unit gives h_n = σ(w s_n + b). The network stops at the first N at which
h_1 + … + h_N reaches 1 - ε, or at ``max_steps``. Step n < N has the weight p_n = h_n, the last one the remainder
R = 1 - Σ_{n<N} h_n, so the weights add up to one, and the result is the mean Σ p_n s_n. The ponder cost N + R joins
the loss, times the time penalty τ; its gradient goes through R alone, because N is a count.

X stands for whatever ponders on its own: the rows of a recurrent network, the positions of a Transformer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.config import Options
from nmt.models.cells import CellChoice, choose_cell

Parts = tuple[Tensor, ...]


class PonderOptions(Options):
    """Options of whatever ponders."""

    max_steps: int = Field(6, ge=1, description="most ponder steps")
    epsilon: float = Field(0.01, gt=0, lt=1, description="halt when the halting units add up to 1 - epsilon")
    halting_bias: float = Field(
        1.0, description="first bias of the halting unit: 1 for short thoughts, -1 for long ones"
    )
    time_penalty: float = Field(0.001, ge=0, description="weight of the ponder cost of a token in the loss (τ)")


@dataclass(frozen=True)
class HaltingState:
    """How far each X has come."""

    total_X: Tensor
    """Sum of the halting units before the last step."""
    running_X: Tensor
    """True where there is more to think."""
    steps_X: Tensor
    """N so far."""
    remainder_X: Tensor
    """R; zero while running."""

    @classmethod
    def start(cls, running_X: Tensor, like: Tensor) -> Self:
        """Nothing thought yet. Where ``running_X`` is False nothing will be, and nothing is counted."""
        zero_X = like.new_zeros(running_X.shape, dtype=torch.promote_types(like.dtype, torch.float32))
        return cls(zero_X, running_X, zero_X, zero_X)

    def halt(self, unit_X: Tensor, is_last: bool, epsilon: float) -> tuple[Tensor, Self]:
        """The weight p_n of a step, and how far each X has come with it.

        Args:
            unit_X: the halting units h_n.
            is_last: no more steps are allowed.
            epsilon: as in :class:`PonderOptions`.
        """
        zero_X = torch.zeros_like(unit_X)
        enough_X = self.total_X + unit_X >= 1 - epsilon
        stops_X = self.running_X & (torch.ones_like(enough_X) if is_last else enough_X)
        running_X = self.running_X & ~stops_X
        remainder_X = torch.where(stops_X, 1 - self.total_X, zero_X)
        going_X = torch.where(running_X, unit_X, zero_X)
        return going_X + remainder_X, type(self)(
            self.total_X + going_X, running_X, self.steps_X + self.running_X, self.remainder_X + remainder_X
        )

    @property
    def cost_X(self) -> Tensor:
        """N + R."""
        return self.steps_X + self.remainder_X


class HaltingUnit(nn.Module):
    """h = σ(w s + b); b starts at ``halting_bias``: at 1, as in the paper, thoughts are short at first."""

    def __init__(self, width: int, options: PonderOptions) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.constant_(self.linear.bias, options.halting_bias)

    def forward(self, x_XD: Tensor) -> Tensor:
        score_X: Tensor = self.linear(x_XD)[..., 0]
        return score_X.to(torch.promote_types(score_X.dtype, torch.float32)).sigmoid()


def spread(weight_X: Tensor, x: Tensor) -> Tensor:
    """Weights with the type of ``x`` and dimensions of one at the end, to be multiplied with it."""
    return weight_X.to(x.dtype).view(*weight_X.shape, *[1] * (x.dim() - weight_X.dim()))


class Ponder(nn.Module):
    """Repeats the step of a recurrent network until its halting unit is satisfied.

    Args:
        width: D of the state's top layer, which the halting unit reads.
        options: limits.
        cell: what is repeated.

    Raises:
        ValueError: the cell's states have no mean.
    """

    def __init__(self, width: int, options: PonderOptions, cell: CellChoice) -> None:
        super().__init__()
        if choose_cell(cell)[0].has_clock:
            raise ValueError(
                "act_rnn takes means of states, and a clockwork cell's count of steps has none; choose another cell"
            )
        self.unit = HaltingUnit(width, options)
        self.max_steps, self.epsilon = options.max_steps, options.epsilon

    def forward(self, step: Callable[[Parts, bool], Parts], start: Parts) -> tuple[Parts, HaltingState]:
        """The mean of the parts over the ponder steps, and how long each row took.

        Args:
            step: from the parts of the ponder step before, and whether this one is the first, to the next parts.
                The first part is [N, L, D], the hidden state of all layers; the others have N rows.
            start: the parts before the first step, as far as ``step`` reads them.
        """
        parts, means = start, None
        pondering = HaltingState.start(torch.ones(len(start[0]), dtype=torch.bool, device=start[0].device), start[0])
        for n in range(self.max_steps):
            parts = step(parts, n == 0)
            unit_N = self.unit(parts[0][:, -1])
            weight_N, pondering = pondering.halt(unit_N, n == self.max_steps - 1, self.epsilon)
            weighted = tuple(spread(weight_N, part) * part for part in parts)
            means = weighted if means is None else tuple(a + b for a, b in zip(means, weighted, strict=True))
            if not pondering.running_X.any():
                break
        assert means is not None
        return means, pondering
