"""Adaptive computation time (Graves 2016): halting, and the recurrent encoder and decoder that use it.

At ponder step n of an input step, a halting unit gives h_n = σ(w s_n + b). The network stops at the first N at which
h_1 + … + h_N reaches 1 - ε, or at ``max_steps``. Step n < N has the weight p_n = h_n, the last one the remainder
R = 1 - Σ_{n<N} h_n, so the weights add up to one, and the result is the mean Σ p_n s_n. The ponder cost N + R joins
the loss, times the time penalty τ; its gradient goes through R alone, because N is a count. Without ``adaptive`` all
``max_steps`` steps are taken and the last one has the weight 1, as in the Repeat-RNN (Fojo et al. 2018).

X stands for what halts separately: the rows of a recurrent network, the positions of a Transformer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.cells import CELLS, CellState
from nmt.models.contracts import DecoderOutput, DecoderParts, Encoder, EncoderOutput, EncoderParts, Memory
from nmt.models.layers import Dropout, length_mask, reverse_within
from nmt.models.networks.recurrence import CellStack, LoopLayer, StackOptions
from nmt.models.networks.recurrent import AttentionalDecoderOptions, AttentionalState, BahdanauDecoder
from nmt.recipe.options import FREE, Options

Parts = tuple[Tensor, ...]


class PonderOptions(Options):
    """Options of adaptive computation time."""

    max_steps: int = Field(6, ge=1, le=1000, description="most ponder steps")
    adaptive: bool = Field(True, description="each token halts on its own; false: max_steps steps for all")
    epsilon: float = Field(0.01, gt=0, lt=1, description="halt when the halting units add up to 1 - epsilon")
    halting_bias: float = Field(1.0, description="first bias of the halting unit: 1 for few steps, -1 for many")
    time_penalty: Annotated[float, FREE] = Field(
        0.001, ge=0, description="weight of the ponder cost of a token in the loss (τ)"
    )


@dataclass(frozen=True)
class HaltingState:
    """The progress of each X."""

    total_X: Tensor
    """Sum of the halting units before the last step."""
    running_X: Tensor
    """True where more steps follow."""
    steps_X: Tensor
    """N so far."""
    remainder_X: Tensor
    """R; zero while running."""

    @classmethod
    def start(cls, running_X: Tensor, like: Tensor) -> Self:
        """The state before the first step. Where ``running_X`` is False, no step is taken or counted."""
        zero_X = like.new_zeros(running_X.shape, dtype=torch.promote_types(like.dtype, torch.float32))
        return cls(zero_X, running_X, zero_X, zero_X)

    def halt(self, unit_X: Tensor, is_last: bool, epsilon: float) -> tuple[Tensor, Self]:
        """The weight p_n of a step, and the state after it.

        Args:
            unit_X: the halting units h_n.
            is_last: the step is the last one allowed.
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
    """h = σ(w s + b); b starts at ``halting_bias``: at 1, as in the paper, steps are few at first.

    Without ``adaptive`` h = 0, so that the remainder, 1, is the weight of the last step.
    """

    def __init__(self, width: int, options: PonderOptions) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1) if options.adaptive else None
        if self.linear is not None:
            nn.init.constant_(self.linear.bias, options.halting_bias)

    def forward(self, x_XD: Tensor) -> Tensor:
        if self.linear is None:
            return x_XD.new_zeros(x_XD.shape[:-1], dtype=torch.promote_types(x_XD.dtype, torch.float32))
        score_X: Tensor = self.linear(x_XD)[..., 0]
        return score_X.to(torch.promote_types(score_X.dtype, torch.float32)).sigmoid()


def spread(weight_X: Tensor, x: Tensor) -> Tensor:
    """Weights with the type of ``x`` and dimensions of one at the end, to be multiplied with it."""
    return weight_X.to(x.dtype).view(*weight_X.shape, *[1] * (x.dim() - weight_X.dim()))


def ponder(
    step: Callable[[Parts, int], tuple[Parts, Tensor]],
    start: Parts,
    running_X: Tensor,
    options: PonderOptions,
    freezes: bool = False,
) -> tuple[Parts, HaltingState]:
    """Repeat a step until every X has halted.

    Args:
        step: from the parts of the ponder step before, and the number of this one, counted from 0, to the next parts
            and the halting units h_n. Parts have the dimensions of X first.
        start: the parts before the first step, as far as ``step`` reads them.
        running_X: False where no step is taken, such as in padding.
        freezes: of an X that has halted, the next steps read the mean in place of the first part.

    Returns:
        The means of the parts over the ponder steps, and the steps that each X took.
    """
    parts, means = start, start
    halting = HaltingState.start(running_X, start[0])
    for n in range(options.max_steps):
        parts, unit_X = step(parts, n)
        weight_X, halting = halting.halt(unit_X, n == options.max_steps - 1, options.epsilon)
        weighted = tuple(spread(weight_X, part) * part for part in parts)
        means = tuple(a + b for a, b in zip(means, weighted, strict=True)) if n else weighted
        if not halting.running_X.any():
            break
        if freezes:
            parts = (torch.where(halting.running_X[..., None], parts[0], means[0]), *parts[1:])
    return means, halting


def check_averageable(cell: Mapping[str, Any]) -> None:
    """Raise ValueError for a cell whose states have no mean."""
    if not CELLS.choose(cell, "cell")[0].averageable:
        reason = f"adaptive computation time averages states, and those of the cell {cell['type']} have no mean"
        raise ValueError(f"{reason}: choose another cell")


class ActEncoderOptions(StackOptions, PonderOptions):
    """Options of the encoder ``type: act_rnn``."""

    bidirectional: bool = Field(True, description="read from both ends")


class ActCells(CellStack):
    """s_t^n = cell([x_t; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}, s_t = Σ p_n s_t^n (Graves 2016).

    The flag δ is 1 at the first step of an input. A state has two parts [N] more than that of the cells: the number of
    ponder steps and their cost.
    """

    def __init__(self, options: ActEncoderOptions, input_size: int) -> None:
        super().__init__(options, (input_size, 1))
        check_averageable(options.cell)
        self.halting = HaltingUnit(options.hidden_size, options)
        self.options = options

    def forward(self, gates_NG: Tensor, state: CellState) -> CellState:
        flagged_NG = gates_NG + self.project(gates_NG.new_ones(1, 1), part=1)

        def step(parts: Parts, n: int) -> tuple[Parts, Tensor]:
            parts = super(ActCells, self).forward(gates_NG if n else flagged_NG, parts)
            return parts, self.halting(parts[0][:, -1])

        running_N = torch.ones(len(gates_NG), dtype=torch.bool, device=gates_NG.device)
        means, halting = ponder(step, state[: self.num_states], running_N, self.options)
        return *means, halting.steps_X, halting.cost_X


class ActEncoder(Encoder):
    """Annotations of a recurrent network that takes as many steps for each word as it needs, in each direction.

    The diagnostic ``ponder`` is the number of steps of a word, the mean of both directions.
    """

    Options = ActEncoderOptions

    def __init__(self, options: ActEncoderOptions, parts: EncoderParts) -> None:
        super().__init__()
        self.embedding = parts.embedding
        num_directions = 2 if options.bidirectional else 1
        self.layer = LoopLayer([ActCells(options, self.embedding.size) for _ in range(num_directions)])
        self.dropout = Dropout(options.dropout)
        self.options = options
        self.final_size = num_directions * options.hidden_size
        self.memory_sizes = (self.final_size,)

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        x_BSD = self.dropout(self.embedding(source_BS))
        annotations_BSD, (*final, _, _), states = self.layer(x_BSD, None, source_length_B, None)
        memory = Memory(self.dropout(annotations_BSD), mask_BS)
        if not self.options.adaptive:
            return EncoderOutput((memory,), tuple(final))
        steps, costs = [], []
        for direction, (*_, steps_SB, cost_SB) in enumerate(states):
            steps_BS1 = (steps_SB.t() * mask_BS)[..., None]
            steps.append(reverse_within(steps_BS1, source_length_B) if direction else steps_BS1)
            costs.append((cost_SB.t().contiguous() * mask_BS).sum())
        return EncoderOutput(
            (memory,),
            tuple(final),
            {"ponder": self.options.time_penalty * torch.stack(costs).sum()},
            {"ponder": torch.cat(steps, dim=2).mean(2)},
        )


class ActDecoder(BahdanauDecoder):
    """Graves 2016 over the step of Bahdanau et al. 2015, attention and then the cell, as often as needed.

    c_t^n = Σ a_i h_i with a from s_t^{n-1}; s_t^n = cell([E y_{t-1}; c_t^n; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}.
    State, context and attention weights of the step are their means under the halting weights p_n, and the output
    layer reads tanh(W [s_t; c_t; E y_{t-1}]). The diagnostic ``ponder`` is the number of steps that predict a token.
    """

    class Options(AttentionalDecoderOptions, PonderOptions): ...

    def __init__(self, options: Options, parts: DecoderParts) -> None:
        super().__init__(options, parts, extra_inputs=(1,))
        check_averageable(options.cell)
        self.halting = HaltingUnit(options.hidden_size, options)
        self.options = options

    def _move(
        self, gates_NG: Tensor, cells: CellState, memory: Memory
    ) -> tuple[Tensor, Tensor, CellState, HaltingState]:
        """Advances as Bahdanau's decoder does, with the halting of the step."""
        flagged_NG = gates_NG + self.cells.project(gates_NG.new_ones(1, 1), part=2)

        def step(parts: Parts, n: int) -> tuple[Parts, Tensor]:
            before, gates = parts[: self.cells.num_states], gates_NG if n else flagged_NG
            context_ND, weights_NS, moved, _ = super(ActDecoder, self)._move(gates, before, memory)
            return (*moved, context_ND, weights_NS), self.halting(moved[0][:, -1])

        running_N = torch.ones(len(gates_NG), dtype=torch.bool, device=gates_NG.device)
        (*state, context_ND, weights_NS), halting = ponder(step, cells, running_N, self.options)
        return context_ND, weights_NS, tuple(state), halting

    def advance(
        self, token_NT: Tensor, state: AttentionalState, need_weights: bool = False
    ) -> tuple[DecoderOutput, AttentionalState]:
        output, state, halting = self._read(token_NT, state, need_weights)
        if not self.options.adaptive:
            return output, state
        real_NT = self.embedding.is_real(token_NT)
        cost_NT = torch.stack([step.cost_X for step in halting], dim=1)
        steps_NT = torch.stack([step.steps_X for step in halting], dim=1)
        output.aux_losses["ponder"] = self.options.time_penalty * (cost_NT * real_NT).sum()
        output.diagnostics["ponder"] = steps_NT * real_NT
        return output, state
