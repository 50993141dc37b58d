"""Adaptive computation time (Graves 2016): halting, recurrent networks and the Universal Transformer.

At ponder step n of an input step, a halting unit gives h_n = σ(w s_n + b). The network stops at the first N at which
h_1 + … + h_N reaches 1 - ε, or at ``max_steps``. Step n < N has the weight p_n = h_n, the last one the remainder
R = 1 - Σ_{n<N} h_n, so the weights add up to one, and the result is the mean Σ p_n s_n. The ponder cost N + R joins
the loss, times the time penalty τ; its gradient goes through R alone, because N is a count. Without ``adaptive`` all
``max_steps`` steps are taken and the last one has the weight 1, as in the Repeat-RNN (Fojo et al. 2018).

X stands for what halts separately: the rows of a recurrent network, the positions of a Transformer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attention import Cache, padding_bias
from nmt.models.cells import CELLS, CellState
from nmt.models.contracts import DecoderOutput, DecoderParts, Encoder, EncoderOutput, EncoderParts, Head, Memory
from nmt.models.layers import Dropout, LayerNorm, Positions, length_mask, reverse_within, sinusoids
from nmt.models.networks.recurrence import CellStack, LoopLayer, StackOptions
from nmt.models.networks.recurrent import AttentionalDecoderOptions, AttentionalState, BahdanauDecoder
from nmt.models.networks.transformer import BlockOptions, CachedDecoder, DecoderLayer, EncoderLayer, TransformerState
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

    def losses(self, cost_X: Tensor, steps_X: Tensor, real_X: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The extra loss and the diagnostic of tokens, where ``real_X`` is True; none without ``adaptive``."""
        if not self.adaptive:
            return {}, {}
        return {"ponder": self.time_penalty * (cost_X * real_X).sum()}, {"ponder": steps_X * real_X}


@dataclass(frozen=True)
class HaltingState:
    """The progress of each X."""

    total_X: Tensor  # sum of the halting units before the last step
    running_X: Tensor  # True where more steps follow
    steps_X: Tensor  # N so far
    remainder_X: Tensor  # R; zero while running

    @classmethod
    def start(cls, running_X: Tensor, like: Tensor) -> Self:
        """The state before the first step. Where ``running_X`` is False, no step is taken or counted."""
        zero_X = like.new_zeros(running_X.shape, dtype=torch.promote_types(like.dtype, torch.float32))
        return cls(zero_X, running_X, zero_X, zero_X)

    def halt(self, unit_X: Tensor, is_last: bool, epsilon: float) -> tuple[Tensor, Self]:
        """The weight p_n of a step with the halting units h_n, and the state after it. ``is_last``: no step may
        follow."""
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

    capturable = False  # the number of ponder steps depends on the values

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
        ponder_BS2 = [torch.stack((steps_SB.t(), cost_SB.t()), dim=2) for *_, steps_SB, cost_SB in states]
        if self.options.bidirectional:
            ponder_BS2[1] = reverse_within(ponder_BS2[1], source_length_B)
        steps_BS, cost_BS = torch.stack(ponder_BS2).sum(0).unbind(2)
        losses = self.options.losses(cost_BS, steps_BS / len(states), mask_BS)
        return EncoderOutput((memory,), tuple(final), *losses)


class ActDecoder(BahdanauDecoder):
    """Graves 2016 over the step of Bahdanau et al. 2015, attention and then the cell, as often as needed.

    c_t^n = Σ a_i h_i with a from s_t^{n-1}; s_t^n = cell([E y_{t-1}; c_t^n; δ_{n,1}], s_t^{n-1}), s_t^0 = s_{t-1}.
    State, context and attention weights of the step are their means under the halting weights p_n, and the output
    layer reads tanh(W [s_t; c_t; E y_{t-1}]). The diagnostic ``ponder`` is the number of steps that predict a token.
    """

    class Options(AttentionalDecoderOptions, PonderOptions): ...

    has_fixed_state = False  # a step waits to know whether any token still ponders

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
        cost_NT, steps_NT = (torch.stack(s, dim=1) for s in zip(*((h.cost_X, h.steps_X) for h in halting), strict=True))
        losses = self.options.losses(cost_NT, steps_NT, self.embedding.is_real(token_NT))
        return DecoderOutput(output.features_BTD, output.weights_BHTS, *losses), state


class UniversalOptions(BlockOptions, PonderOptions):
    """Options of ``type: universal_transformer``, for the encoder and the decoder. The width is ``embedding_size``."""

    norm: Literal["pre", "post"] = Field("post", description="layer norm before each sublayer, or after the sum")


class TimedPositions(nn.Module):
    """Adds the code of the position and that of the step (Dehghani et al. 2019, equations 6 and 7)."""

    def __init__(self, size: int, options: UniversalOptions) -> None:
        super().__init__()
        self.positions = Positions(size, options.positions, options.max_positions)
        self.register_buffer("steps", sinusoids(options.max_steps, size), persistent=False)

    def forward(self, x_BTD: Tensor, step: int, start: int = 0) -> Tensor:
        """``step`` counts from 0; ``start`` is the position of the first token."""
        timed_BTD: Tensor = self.positions(x_BTD, start)
        return timed_BTD + self.get_buffer("steps")[step].to(x_BTD.dtype)


class UniversalTransformerEncoder(Encoder):
    """Dehghani et al. 2019: one encoder layer of the Transformer, applied again and again with shared weights.

    Each step adds position and time-step code, and each position halts when its halting units add up to 1 - ε. While a
    position runs, the others see its latest state; then they see the mean that is its result.
    The diagnostic ``ponder`` is the number of steps of a word.
    """

    Options = UniversalOptions

    def __init__(self, options: UniversalOptions, parts: EncoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding = parts.embedding
        self.positions = TimedPositions(width, options)
        self.layer = EncoderLayer(width, options)
        self.halting = HaltingUnit(width, options)
        self.norm = LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.options = options
        self.memory_sizes, self.final_size = (width,), width

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        bias = padding_bias(mask_BS)

        def step(parts: Parts, n: int) -> tuple[Parts, Tensor]:
            x_BSD = self.layer(self.positions(parts[0], n), bias)
            return (x_BSD,), self.halting(x_BSD)

        start = (self.dropout(self.embedding(source_BS)),)
        (mean_BSD,), halting = ponder(step, start, mask_BS, self.options, freezes=True)
        memory = Memory(self.norm(mean_BSD), mask_BS)
        return EncoderOutput((memory,), (), *self.options.losses(halting.cost_X, halting.steps_X, mask_BS))


class UniversalTransformerDecoder(CachedDecoder):
    """Dehghani et al. 2019: one decoder layer of the Transformer, applied again and again with shared weights.

    There is a cache for each step: a token that has halted is seen at all later steps as the mean state it ended with,
    so its keys are needed there too. A head's attention to the source is the mean of its steps under the halting
    weights. The diagnostic ``ponder`` is the number of steps that predict a token.
    """

    Options = UniversalOptions

    def __init__(self, options: UniversalOptions, parts: DecoderParts) -> None:
        super().__init__()
        width = parts.embedding.size
        self.embedding, self.output = parts.embedding, parts.output
        self.positions = TimedPositions(width, options)
        self.layer = DecoderLayer(width, parts.memory_size, options)
        self.halting = HaltingUnit(width, options)
        self.norm = LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.options = options
        self.heads = tuple(Head(head) for head in range(options.num_heads))

    def start(self, encoded: EncoderOutput) -> TransformerState:
        attention = self.layer.cross_attention
        assert attention is not None
        return TransformerState.start(encoded.memories[0], [attention], self.options.max_steps)

    def _run(
        self, token_NT: Tensor, state: TransformerState, self_bias: Tensor | None, need_weights: bool, is_last: bool
    ) -> tuple[DecoderOutput, tuple[Cache, ...]]:
        cross_bias, (cross,) = padding_bias(state.memory.mask_BS), state.memory.keys
        token_BQ = token_NT.reshape(len(cross_bias), -1)
        caches: list[Cache] = []

        def timed(x_BQD: Tensor, step: int) -> Tensor:
            coded: Tensor = self.positions(x_BQD.view(*token_NT.shape, -1), step, state.num_tokens)
            return coded.view_as(x_BQD)

        def step(parts: Parts, n: int) -> tuple[Parts, Tensor]:
            x_BQD, cache, weights_BHQS = self.layer(
                timed(parts[0], n), state.caches[n], self_bias, cross, cross_bias, need_weights
            )
            caches.append(cache)
            weights = (weights_BHQS.transpose(1, 2),) if need_weights else ()
            return (x_BQD, *weights), self.halting(x_BQD)

        start, everywhere = (self.dropout(self.embedding(token_BQ)),), torch.ones_like(token_BQ, dtype=torch.bool)
        (mean_BQD, *weights), halting = ponder(step, start, everywhere, self.options, freezes=True)
        for n in range(len(caches), 0 if is_last else self.options.max_steps):
            # Later tokens may take more steps, and will see these.
            y_BQD = self.layer.around_self.before(timed(mean_BQD, n))
            caches.append(state.caches[n].append(self.layer.self_attention.project(y_BQD)))
        losses = self.options.losses(halting.cost_X, halting.steps_X, self.embedding.is_real(token_BQ))
        weights_BHQS = weights[0].transpose(1, 2) if weights else None
        return DecoderOutput(self.norm(mean_BQD), weights_BHQS, *losses), tuple(caches)
