"""Adaptive computation time (Graves 2016): halting, and the recurrent encoder and decoder that use it.

At ponder step n of an input step, a halting unit gives h_n = σ(w s_n + b). The network stops at the first N at which
h_1 + … + h_N reaches 1 - ε, or at ``max_steps``. Step n < N has the weight p_n = h_n, the last one the remainder
R = 1 - Σ_{n<N} h_n, so the weights add up to one, and the result is the mean Σ p_n s_n. The ponder cost N + R joins
the loss, times the time penalty τ; its gradient goes through R alone, because N is a count.

X stands for what halts separately: the rows of a recurrent network, the positions of a Transformer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attentional import AttentionalDecoderOptions, AttentionalState, BahdanauDecoder
from nmt.models.cells import CellChoice, CellField, CellState, choose_cell
from nmt.models.interfaces import DecoderOutput, DecoderParts, Encoder, EncoderOutput, EncoderParts, Memory
from nmt.models.layers import Dropout, Layers, length_mask, reverse_within
from nmt.models.recurrence import CellStack
from nmt.options import FREE, Options
from nmt.plugins import as_mapping

Parts = tuple[Tensor, ...]


class PonderOptions(Options):
    """Options of adaptive computation time."""

    max_steps: int = Field(6, ge=1, le=1000, description="most ponder steps")
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
    """h = σ(w s + b); b starts at ``halting_bias``: at 1, as in the paper, steps are few at first."""

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
    """Repeats the step of a recurrent network until its halting unit stops it.

    Args:
        width: D of the state's top layer, which the halting unit reads.
        options: limits.
        cell: the recipe's choice of the cell that is repeated.

    Raises:
        ValueError: the states of the cell can't be averaged.
    """

    def __init__(self, width: int, options: PonderOptions, cell: CellChoice) -> None:
        super().__init__()
        if not choose_cell(cell)[0].averageable:
            name = as_mapping(cell)["type"]
            reason = f"adaptive computation time averages states, and those of the cell {name} have no mean"
            raise ValueError(f"{reason}: choose another cell")
        self.unit = HaltingUnit(width, options)
        self.max_steps, self.epsilon = options.max_steps, options.epsilon

    def forward(self, step: Callable[[Parts, bool], Parts], start: Parts) -> tuple[Parts, HaltingState]:
        """The mean of the parts over the ponder steps, and the steps that each row took.

        Args:
            step: from the parts of the ponder step before, and whether this one is the first, to the next parts.
                The first part is [N, L, D], the hidden state of all layers; the others have N rows.
            start: the parts before the first step, as far as ``step`` reads them.
        """
        parts, means = start, None
        halting = HaltingState.start(torch.ones(len(start[0]), dtype=torch.bool, device=start[0].device), start[0])
        for n in range(self.max_steps):
            parts = step(parts, n == 0)
            unit_N = self.unit(parts[0][:, -1])
            weight_N, halting = halting.halt(unit_N, n == self.max_steps - 1, self.epsilon)
            weighted = tuple(spread(weight_N, part) * part for part in parts)
            means = weighted if means is None else tuple(a + b for a, b in zip(means, weighted, strict=True))
            if not halting.running_X.any():
                break
        assert means is not None
        return means, halting


class AdaptiveEncoderOptions(PonderOptions):
    """Options of the encoder ``type: act_rnn``."""

    cell: CellField = Field({"type": "lstm"}, description="name of a cell, or {type: NAME} and its options")
    hidden_size: int = Field(256, ge=1, le=100_000, description="of each direction")
    num_layers: int = Field(1, ge=1, le=1000, description="cells one above another")
    bidirectional: bool = Field(True, description="read from both ends")
    dropout: Annotated[float, FREE] = Field(
        0.0, ge=0, lt=1, description="on embeddings, between layers and on the annotations"
    )


class AdaptiveRecurrence(nn.Module):
    """One direction: s_t^n = cell([x_t; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}, s_t = Σ p_n s_t^n (Graves 2016).

    The flag δ is 1 at the first step of an input.
    """

    def __init__(self, options: AdaptiveEncoderOptions, input_size: int) -> None:
        super().__init__()
        self.cells = CellStack(options.cell, (input_size, 1), options.hidden_size, options.num_layers, options.dropout)
        self.ponder = Ponder(options.hidden_size, options, options.cell)

    def forward(self, x_BSD: Tensor, mask_BS: Tensor) -> tuple[Tensor, CellState, Tensor, Tensor]:
        """Outputs [B, S, D], the state after the last word, ponder steps and ponder cost [B, S]; 0 at padding."""
        flag_1G = self.cells.project(x_BSD.new_ones(1, 1), part=1)
        state = self.cells.zeros(len(x_BSD), x_BSD)
        outputs, steps, costs = [], [], []
        for gates_BG, real_B in zip(self.cells.project(x_BSD).unbind(1), mask_BS.unbind(1), strict=True):

            def step(parts: Parts, is_first: bool, gates_BG: Tensor = gates_BG) -> Parts:
                return self.cells(gates_BG + flag_1G if is_first else gates_BG, parts)  # type: ignore[no-any-return]

            after, halting = self.ponder(step, state)
            real_B11 = real_B[:, None, None]
            state = tuple(torch.where(real_B11, new, old) for new, old in zip(after, state, strict=True))
            outputs.append(state[0][:, -1])
            steps.append(halting.steps_X)
            costs.append(halting.cost_X)
        steps_BS, costs_BS = torch.stack(steps, 1) * mask_BS, torch.stack(costs, 1) * mask_BS
        return torch.stack(outputs, 1), state, steps_BS, costs_BS


class ActEncoder(Encoder):
    """Annotations of a recurrent network that takes as many steps for each word as it needs, in each direction.

    The diagnostic ``ponder`` is the number of steps of a word, the mean of both directions.
    """

    Options = AdaptiveEncoderOptions

    def __init__(self, options: AdaptiveEncoderOptions, parts: EncoderParts) -> None:
        super().__init__()
        self.embedding = parts.embedding
        num_directions = 2 if options.bidirectional else 1
        self.directions: Layers[AdaptiveRecurrence] = Layers(
            AdaptiveRecurrence(options, self.embedding.size) for _ in range(num_directions)
        )
        self.dropout = Dropout(options.dropout)
        self.time_penalty = options.time_penalty
        self.final_size = num_directions * options.hidden_size
        self.memory_sizes = (self.final_size,)

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        x_BSD = self.dropout(self.embedding(source_BS))
        outputs, finals, steps, costs = [], [], [], []
        for direction, recurrence in enumerate(self.directions):
            read_BSD = reverse_within(x_BSD, source_length_B) if direction else x_BSD
            read_BSD, final, steps_BS, costs_BS = recurrence(read_BSD, mask_BS)
            if direction:
                read_BSD = reverse_within(read_BSD, source_length_B)
                steps_BS = reverse_within(steps_BS[..., None], source_length_B)[..., 0]
            outputs.append(read_BSD)
            finals.append(final)
            steps.append(steps_BS)
            costs.append(costs_BS.sum())
        return EncoderOutput(
            (Memory(self.dropout(torch.cat(outputs, 2)), mask_BS),),
            tuple(torch.cat(parts, dim=2) for parts in zip(*finals, strict=True)),
            {"ponder": self.time_penalty * torch.stack(costs).sum()},
            {"ponder": torch.stack(steps).mean(0)},
        )


class AdaptiveDecoderOptions(AttentionalDecoderOptions, PonderOptions):
    """Options of the decoder ``type: act_rnn``."""


class ActDecoder(BahdanauDecoder):
    """Graves 2016 over the step of Bahdanau et al. 2015, attention and then the cell, as often as needed.

    c_t^n = Σ a_i h_i with a from s_t^{n-1}; s_t^n = cell([E y_{t-1}; c_t^n; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}.
    State, context and attention weights of the step are their means under the halting weights p_n, and the output
    layer reads tanh(W [s_t; c_t; E y_{t-1}]). The diagnostic ``ponder`` is the number of steps that predict a token.
    """

    Options = AdaptiveDecoderOptions

    def __init__(self, options: AdaptiveDecoderOptions, parts: DecoderParts) -> None:
        super().__init__(options, parts, extra_inputs=(1,))
        self.ponder = Ponder(options.hidden_size, options, options.cell)
        self.time_penalty = options.time_penalty

    def _move(
        self, gates_NG: Tensor, cells: CellState, memory: Memory
    ) -> tuple[Tensor, Tensor, CellState, HaltingState]:
        """As in Bahdanau's decoder, with the halting of the step."""
        flag_1G = self.cells.project(gates_NG.new_ones(1, 1), part=2)
        num_states = self.cells.num_states

        def step(parts: Parts, is_first: bool) -> Parts:
            gates = gates_NG + flag_1G if is_first else gates_NG
            context_ND, weights_NS, moved, _ = super(ActDecoder, self)._move(gates, parts[:num_states], memory)
            return (*moved, context_ND, weights_NS)

        (*state, context_ND, weights_NS), halting = self.ponder(step, cells)
        return context_ND, weights_NS, tuple(state), halting

    def advance(
        self, token_NT: Tensor, state: AttentionalState, need_weights: bool = False
    ) -> tuple[DecoderOutput, AttentionalState]:
        output, state, halting = self._read(token_NT, state, need_weights)
        real_NT = self.embedding.is_real(token_NT)
        cost_NT = torch.stack([step.cost_X for step in halting], dim=1)
        steps_NT = torch.stack([step.steps_X for step in halting], dim=1)
        output.aux_losses["ponder"] = self.time_penalty * (cost_NT * real_NT).sum()
        output.diagnostics["ponder"] = steps_NT * real_NT
        return output, state
