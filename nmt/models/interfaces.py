"""The contracts that make the systems interchangeable.

Shape legend, for every file in this folder; a tensor's name ends in its shape:

    B  sentences of a batch          V  target vocabulary
    S  source positions              D  model width (of whatever the tensor holds)
    T  target positions              A  width of attention keys
    K  hypotheses of a sentence      H  attention heads
    N  rows of a decoder: B·K, the hypotheses of one sentence side by side
    Q  queries of a sentence: T when a whole sentence is unrolled, K in search
    L  layers                        U  turns of a dialogue

Data flows one way: an :class:`Encoder` makes an :class:`EncoderOutput`, a :class:`Decoder` starts a :class:`State`
from it and goes from state to state. All that a decoder remembers lives in its state. What belongs to the
sentence (its :class:`Memory`) is held once for each sentence, what belongs to a hypothesis once for each row, so
that search never copies a memory.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from nmt.models.layers import Embedding

AttentionStep = Literal["output", "input"]
"""Which word the attention of a decoder's step belongs to: the one that it predicts, or the one that it reads."""


class PerSource(ABC):
    """What a state holds once for each of the B sentences, however many hypotheses these have."""

    @abstractmethod
    def select(self, sentences: Tensor) -> Self:
        """That of some sentences. ``sentences``: indices into B."""


@dataclass(frozen=True)
class Memory(PerSource):
    """What attention looks at: a vector for each position, and which of them are real."""

    values_BSD: Tensor
    mask_BS: Tensor
    """True at real positions, False at padding."""
    keys: Any = None
    """The attention's projection of the values, computed once a sentence by :meth:`Attention.prepare`."""
    turn_BS: Tensor | None = None
    """The turn of each position, counted back from the current one (0), where the encoder tells turns apart."""

    def select(self, sentences: Tensor) -> Self:
        return type(self)(*(_select(getattr(self, f.name), sentences) for f in fields(self)))


@dataclass(frozen=True)
class EncoderOutput:
    """A batch of encoded source sentences."""

    memories: tuple[Memory, ...]
    """One for most encoders; one with an external memory gives its slots as the second."""
    final: tuple[Tensor, ...] = ()
    """The recurrent state after the last word, each part [B, L, D]: the hidden state and, for an LSTM, the cell state.
    Whatever else a cell keeps, such as a count of steps, isn't part of it."""
    aux_losses: dict[str, Tensor] = field(default_factory=dict)
    """Named extra losses, summed over the batch; the trainer adds whatever is here."""
    figures: dict[str, Tensor] = field(default_factory=dict)
    """Named figures of the source tokens, such as their ponder steps, [B, S]; shown beside alignments."""

    def __post_init__(self) -> None:
        if any(part.shape != self.final[0].shape or not part.is_floating_point() for part in self.final):
            shapes = [tuple(part.shape) for part in self.final]
            raise ValueError(f"the parts of an encoder's final state must all be [B, L, D], not {shapes}")


class Encoder(nn.Module, ABC):
    """Source ids to memories. Sets ``output_size`` (D of its first memory) and ``final_size`` (D of ``final``)."""

    embedding: Embedding
    output_size: int
    final_size: int
    slot_size: int | None = None
    """Width of the slots of an external memory, which is then the second of the memories."""

    @abstractmethod
    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        """Encode a padded batch. What stands in the padding never changes the result."""


class Attention(nn.Module, ABC):
    """A score between queries and the positions of a memory; softmax over positions gives the weights."""

    def context_size(self, memory_size: int) -> int:
        """Width of the context: that of the memory, unless an attention makes something else of its values."""
        return memory_size

    def prepare(self, memory: Memory) -> Memory:
        """Project the keys, once for a sentence."""
        return memory

    @abstractmethod
    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        """Unnormalised scores. [B, Q, S]"""

    def forward(self, query_BQD: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The context (weighted mean of the values) and the weights. [B, Q, D], [B, Q, S]"""
        return attend(self.scores(query_BQD, memory), memory)


def attend(scores_BQS: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Softmax of the scores over real positions, and the mean of the values under it. [B, Q, D], [B, Q, S]"""
    scores_BQS = scores_BQS.to(torch.promote_types(scores_BQS.dtype, torch.float32))
    scores_BQS = scores_BQS.masked_fill(~memory.mask_BS[:, None, :], float("-inf"))
    weights_BQS = scores_BQS.softmax(dim=-1)
    return torch.bmm(weights_BQS.to(memory.values_BSD.dtype), memory.values_BSD), weights_BQS


def _select(value: Any, rows: Tensor) -> Any:
    """Index the first dimension of every tensor in a nested value."""
    if isinstance(value, Tensor):
        return value.index_select(0, rows)
    if isinstance(value, tuple):
        return tuple(_select(part, rows) for part in value)
    return value


@dataclass(frozen=True)
class State:
    """What a decoder remembers. Tensors have N rows first; what is :class:`PerSource` has B. Fields may be nested
    in tuples, and hold other states."""

    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        """The state of some hypotheses, in a new order or repeated.

        Args:
            rows: indices into N, the hypotheses of a sentence side by side.
            sentences: indices into B, where sentences leave or move; None leaves what is held per sentence as it is.
        """
        changes = {}
        for f in fields(self):
            value = getattr(self, f.name)
            changes[f.name] = _reorder(value, rows, sentences)
        return replace(self, **changes)


def _reorder(value: Any, rows: Tensor, sentences: Tensor | None) -> Any:
    if isinstance(value, State):
        return value.reorder(rows, sentences)
    if isinstance(value, PerSource):
        return value if sentences is None else value.select(sentences)
    if isinstance(value, tuple):
        return tuple(_reorder(part, rows, sentences) for part in value)
    return _select(value, rows)


@dataclass(frozen=True)
class StepOutput:
    """What one step of a decoder gives."""

    logits_NV: Tensor
    weights_NHS: Tensor | None
    """Attention weights of every head the decoder has, where they were asked for."""
    state: State


@dataclass(frozen=True)
class DecoderOutput:
    """What a decoder gives for whole target sentences, before the output layer."""

    features_BTD: Tensor
    weights_BHTS: Tensor | None = None
    aux_losses: dict[str, Tensor] = field(default_factory=dict)
    figures: dict[str, Tensor] = field(default_factory=dict)
    """Named figures of the target tokens, at the position that says the token, [B, T]."""
    source_figures: dict[str, Tensor] = field(default_factory=dict)
    """Those of the encoder, [B, S]."""


class OutputLayer(nn.Module):
    """Features to logits over the target vocabulary; ``weight_VD`` may be the target embedding's.

    A class of its own because the training loss wants its weights rather than its logits: see
    ``nmt/training/loss.py``.
    """

    def __init__(self, width: int, vocabulary_size: int, tied_to: nn.Parameter | None = None) -> None:
        super().__init__()
        if tied_to is None:
            tied_to = nn.Parameter(torch.empty(vocabulary_size, width))
            nn.init.normal_(tied_to, std=width**-0.5)
        self.weight_VD = tied_to
        self.bias_V = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, features_ND: Tensor) -> Tensor:
        return nn.functional.linear(features_ND, self.weight_VD, self.bias_V)


@dataclass(frozen=True)
class DecoderParts:
    """What every decoder is built from, beside its own options."""

    embedding: Embedding
    output: OutputLayer
    """Expects features as wide as the embedding, so that the two can share their weights."""
    memory_size: int
    """Width of the encoder's memory."""
    final_size: int
    """Width of the encoder's final state; of its memory, where it has none."""
    make_attention: Callable[[dict[str, Any], int, int], Attention]
    """From the recipe's ``attention`` mapping, the width of the query and that of the memory."""
    slot_size: int | None = None
    """Width of the slots of the encoder's external memory, where it has one."""


class Decoder(nn.Module, ABC):
    """Target tokens, one after another.

    ``step`` and ``unroll`` compute the same thing: one token a call, or whole sentences with the true previous
    token (teacher forcing). ``head_names`` names the attention heads whose weights both can give; it is empty for
    a decoder without attention.
    """

    embedding: Embedding
    output: OutputLayer
    head_names: tuple[str, ...] = ()
    has_aux_losses: bool = False
    """Whether ``unroll`` gives extra losses, which reading token by token doesn't."""
    attention_step: AttentionStep = "output"
    """Where its attention is read as word alignment; docs/how-to/align.md compares the two."""

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """Indices into ``head_names`` whose mean is the best word alignment; all, unless a decoder knows better."""
        return tuple(range(len(self.head_names)))

    @property
    def guided_head(self) -> tuple[int, AttentionStep]:
        """The head that guided alignment trains, and the step whose weights it trains."""
        return 0, self.attention_step

    @abstractmethod
    def start(self, encoded: EncoderOutput) -> State:
        """The state before the first token, one row a sentence."""

    @abstractmethod
    def advance(self, token_N: Tensor, state: Any, need_weights: bool = False) -> tuple[Tensor, Tensor | None, State]:
        """Read a token: features for the output layer [N, D], weights [N, H, S] if asked for, the next state."""

    def step(self, token_N: Tensor, state: Any, need_weights: bool = False) -> StepOutput:
        """Read a token and give the logits of the next one."""
        features_ND, weights_NHS, state = self.advance(token_N, state, need_weights)
        return StepOutput(self.output(features_ND), weights_NHS, state)

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        """Read whole sentences. A decoder that can do better than step by step overrides this."""
        state = self.start(encoded)
        features, weights = [], []
        for token_B in target_BT.unbind(1):
            features_BD, weights_BHS, state = self.advance(token_B, state, need_weights)
            features.append(features_BD)
            if weights_BHS is not None:
                weights.append(weights_BHS)
        return DecoderOutput(torch.stack(features, dim=1), torch.stack(weights, dim=2) if weights else None)


class Model(Protocol):
    """What search asks of a model, or of several that act as one."""

    @property
    def device(self) -> torch.device: ...

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """Heads whose mean says what a step looks at; none for a model without attention."""

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> State:
        """The state before the first token, one row a sentence."""

    def step(self, token_N: Tensor, state: Any, need_weights: bool = False) -> StepOutput:
        """Read a token and give the logits of the next one."""
