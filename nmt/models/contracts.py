"""The contracts that make the systems interchangeable.

Shape legend, for every file in this folder; a tensor's name ends in its shape:

    B  sentences of a batch          V  target vocabulary
    S  source positions              D  width of the vectors in a tensor
    T  target positions              A  width of attention keys
    K  hypotheses of a sentence      H  attention heads
    N  rows of a decoder: B·K, the hypotheses of one sentence side by side
    Q  queries of a sentence: K·T, the positions of each hypothesis side by side
    L  layers                        U  turns of a dialogue

Data flows one way: an :class:`Encoder` makes an :class:`EncoderOutput`, a :class:`Decoder` starts a :class:`State`
from it and advances from state to state. All that a decoder remembers is in its state. What belongs to the sentence
(its :class:`Memory`) is held once for each sentence, what belongs to a hypothesis once for each row, so that search
never copies a memory.

``tests/models/test_contracts.py`` checks what is promised here; CONTRIBUTING.md says how to add a component. An
encoder that reads the source from its end has a true ``reverse``, which ``nmt inspect gradients`` needs to know.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, Self, cast

import torch
from torch import Tensor, nn

from nmt.core.device import product_dtype
from nmt.data.vocabulary.base import Vocabulary
from nmt.models.layers import Embedding
from nmt.models.loops import step_bmm
from nmt.recipe.options import Options

AttentionStep = Literal["output", "input"]
"""The token that the attention of a decoder's step belongs to: the one that it predicts, or the one that it reads."""


class PerSource:
    """Base of dataclasses that a state holds once for each of the B sentences, whatever their number of hypotheses."""

    def select(self, sentences: Tensor) -> Self:
        """Returns the part of some sentences. ``sentences``: indices into B."""
        return cast("Self", map_tensors(self, lambda tensor: tensor.index_select(0, sentences)))


@dataclass(frozen=True)
class Memory(PerSource):
    """Input of attention: a vector for each position, and a mask of the real positions."""

    values_BSD: Tensor
    mask_BS: Tensor  # True at real positions, False at padding
    keys: Any = None  # projection of the values, computed once a sentence by :meth:`Attention.prepare`
    positions: Mapping[str, Tensor] = field(default_factory=dict)
    """Further properties of each position by name, [B, S, …], such as its turn in a dialogue."""


@dataclass(frozen=True)
class EncoderOutput:
    """A batch of encoded source sentences."""

    memories: tuple[Memory, ...]
    """The first holds an annotation for each source position; further ones are up to the encoder."""
    final: tuple[Tensor, ...] = ()
    """The recurrent state after the last word, each part [B, L, D]: the hidden state and, for an LSTM, the cell state.
    Whatever else a cell keeps, such as a count of steps, isn't part of it. Empty where an encoder has no such state."""
    aux_losses: dict[str, Tensor] = field(default_factory=dict)
    """Extra losses by name, summed over the batch; training adds them to the loss."""
    diagnostics: dict[str, Tensor] = field(default_factory=dict)
    """Numbers to be shown for each source token, by name, such as its ponder steps. [B, S]"""

    def __post_init__(self) -> None:
        if any(part.shape != self.final[0].shape or not part.is_floating_point() for part in self.final):
            shapes = [tuple(part.shape) for part in self.final]
            raise ValueError(f"the parts of an encoder's final state must all be [B, L, D], not {shapes}")


@dataclass(frozen=True)
class EncoderParts:
    """Parts that every encoder is built from, beside its own options."""

    embedding: Embedding  # embedding of the source; ``embedding.size`` is the width of its vectors
    vocabulary: Vocabulary  # vocabulary of the source, with the special ids, such as those of padding and EOS


class Encoder(nn.Module, ABC):
    """Source ids to memories.

    ``__init__(self, options, parts)`` takes the checked options and :class:`EncoderParts`, and sets the three
    attributes below. It raises ValueError where options don't fit together.
    """

    Options: ClassVar[type[Options]]
    embedding: Embedding
    memory_sizes: tuple[int, ...]
    """The width D of each memory in :class:`EncoderOutput`; none where the memory has no positions."""
    final_size: int  # the width D of ``final``; that of the first memory for an encoder without a final state

    @abstractmethod
    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        """Encode a padded batch.

        A sentence's result must not depend on its batch-mates, nor on the ids in the padding.

        Args:
            source_BS: ids, each sentence with EOS at its end, then padding.
            source_length_B: EOS counted, so at least 1.
        """


class Attention(nn.Module):
    """A score between queries and the positions of a memory; softmax over positions gives the weights.

    ``__init__(self, options, query_size, memory_size)`` takes the checked options and the widths of query and memory.
    An attention defines :meth:`scores`, or :meth:`forward` itself where its weights come from more than one score, and
    :meth:`prepare` where the memory needs a projection.
    """

    Options: ClassVar[type[Options]] = Options

    def context_size(self, memory_size: int) -> int:
        """Width of the context: that of the memory, unless an attention makes something else of its values."""
        return memory_size

    def prepare(self, memory: Memory) -> Memory:
        """The memory with its ``keys``, computed once for a sentence."""
        return memory

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        """Unnormalised scores; those of padding don't count. [B, Q, S]"""
        raise NotImplementedError

    def forward(self, query_BQD: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The context (weighted mean of the values) and the weights. [B, Q, D], [B, Q, S]"""
        return attend(self.scores(query_BQD, memory), memory)


def select_heads(weights_NHS: Tensor, heads: Sequence[int]) -> Tensor:
    """The attention weights of some heads; an index made of a list would be copied to the device. [N, heads, …]"""
    return torch.stack([weights_NHS[:, head] for head in heads], dim=1)


def attend(scores_BQS: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Softmax of the scores over real positions, and the mean of the values under it. [B, Q, D], [B, Q, S]"""
    scores_BQS = scores_BQS.to(torch.promote_types(scores_BQS.dtype, torch.float32))
    scores_BQS = scores_BQS.masked_fill(~memory.mask_BS[:, None, :], float("-inf"))
    weights_BQS = scores_BQS.softmax(dim=-1)
    return step_bmm(weights_BQS.to(memory.values_BSD.dtype), memory.values_BSD), weights_BQS


@dataclass(frozen=True)
class State:
    """State of a decoder between steps. Tensors have N rows first; those of :class:`PerSource` have B. Fields may be
    nested in tuples, and hold other states."""

    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        """The state of some hypotheses, in a new order or repeated.

        Args:
            rows: indices into N, the hypotheses of a sentence side by side.
            sentences: indices into B, where sentences leave or move; None leaves what is held per sentence as it is.
        """

        def select(part: PerSource) -> PerSource:
            return part if sentences is None else part.select(sentences)

        return cast("Self", map_tensors(self, lambda tensor: tensor.index_select(0, rows), select))


def map_tensors(
    value: Any, change: Callable[[Tensor], Tensor], per_source: Callable[[PerSource], Any] | None = None
) -> Any:
    """A value with every tensor in it changed, through dataclasses, tuples and mappings; ``per_source`` changes what is
    :class:`PerSource` in another way."""
    if isinstance(value, Tensor):
        return change(value)
    if per_source is not None and isinstance(value, PerSource):
        return per_source(value)
    if isinstance(value, tuple):
        return tuple(map_tensors(part, change, per_source) for part in value)
    if isinstance(value, Mapping):
        return {name: map_tensors(part, change, per_source) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: map_tensors(getattr(value, f.name), change, per_source) for f in fields(value)}
        return replace(value, **parts)
    return value


@dataclass(frozen=True)
class StepOutput:
    """Result of one step of search."""

    logits_NV: Tensor  # logits of all rows, or of the requested ones
    weights_NHS: Tensor | None  # attention weights of every head of the decoder, where they were asked for
    state: State


@dataclass(frozen=True)
class DecoderOutput:
    """Result of a decoder for the tokens that it reads, before the output layer."""

    features_BTD: Tensor  # input of the output layer, which predicts the next token; N rows in search
    weights_BHTS: Tensor | None = None  # attention weights of every head, where they were asked for
    aux_losses: dict[str, Tensor] = field(default_factory=dict)
    """Extra losses by name, summed over the tokens that aren't padding; training adds them to the loss."""
    diagnostics: dict[str, Tensor] = field(default_factory=dict)
    """Numbers to be shown for each target token, by name, at the position that predicts the token. [B, T]"""
    source_diagnostics: dict[str, Tensor] = field(default_factory=dict)  # diagnostics of the encoder. [B, S]


class OutputLayer(nn.Module):
    """Features to logits over the target vocabulary; ``weight_VD`` may be the target embedding's.

    A class of its own because the training loss uses its weights rather than its logits: see
    ``nmt/training/loss.py``. Without ``bias``, ``bias_V`` is zero and not a parameter.
    """

    bias_V: Tensor

    def __init__(
        self, width: int, vocabulary_size: int, tied_to: nn.Parameter | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        if tied_to is None:
            tied_to = nn.Parameter(torch.empty(vocabulary_size, width))
            nn.init.normal_(tied_to, std=width**-0.5)
        self.weight_VD = tied_to
        if bias:
            self.bias_V = nn.Parameter(torch.zeros(vocabulary_size))
        else:
            self.register_buffer("bias_V", torch.zeros(vocabulary_size), persistent=False)

    def rows(self, ids_C: Tensor) -> "OutputLayer":
        """A layer for some of the target ids, in the type that products have here, to be used without gradients."""
        weight_CD = self.weight_VD[ids_C]
        weight_CD = weight_CD.to(product_dtype(weight_CD))
        layer = OutputLayer(0, len(ids_C), nn.Parameter(weight_CD, requires_grad=False))
        layer.bias_V = nn.Parameter(self.bias_V[ids_C], requires_grad=False)
        return layer

    def forward(self, features_ND: Tensor) -> Tensor:
        return nn.functional.linear(features_ND, self.weight_VD, self.bias_V)


def table_ids(model: nn.Module) -> set[int]:
    """Returns the ``id`` of each parameter of embeddings and output layers: vectors of tokens and of positions."""
    tables = (module for module in model.modules() if isinstance(module, nn.Embedding | OutputLayer))
    return {id(parameter) for table in tables for parameter in table.parameters()}


@dataclass(frozen=True)
class DecoderParts:
    """Parts that every decoder is built from, beside its own options."""

    embedding: Embedding  # embedding of the target; ``embedding.size`` is the width of its vectors
    output: OutputLayer  # expects features as wide as the embedding, so that the two can share their weights
    memory_sizes: tuple[int, ...]
    """Widths of the encoder's memories; none in a language model, which has no encoder."""
    final_size: int  # width of the encoder's final state
    make_attention: Callable[[dict[str, Any], int, int], Attention]
    """From the recipe's ``attention`` mapping, the width of the query and that of the memory."""

    @property
    def memory_size(self) -> int:
        """Width of the annotations, the encoder's first memory. Raises ValueError if there is no encoder."""
        if not self.memory_sizes:
            raise ValueError("without an encoder the decoder must be of type recurrent or transformer")
        return self.memory_sizes[0]


@dataclass(frozen=True)
class Head:
    """An attention head of a decoder."""

    index: int = 0  # counted from 0 within its layer, or within its kind
    layer: int | None = None  # counted from 0; None for a decoder whose attention has no layers
    kind: str = "head"

    @property
    def name(self) -> str:
        """For people, who count from 1: ``layer 2 head 1``, ``head 1``, ``attention``."""
        if self.kind == "attention":
            return self.kind
        name = f"{self.kind} {self.index + 1}"
        return name if self.layer is None else f"layer {self.layer + 1} {name}"

    @property
    def short_name(self) -> str:
        """``2:1`` for layer 2 head 1; others as :attr:`name`."""
        return self.name if self.layer is None else f"{self.layer + 1}:{self.index + 1}"


SINGLE_HEAD = Head(kind="attention")
"""The head of a decoder whose attention has a single one."""


class Decoder(nn.Module, ABC):
    """Target tokens, one after another.

    ``__init__(self, options, parts)`` takes the checked options and :class:`DecoderParts`, and sets ``embedding`` and
    ``output`` to those of ``parts``. It raises ValueError where options don't fit together. Nothing may be remembered
    on ``self``: one decoder serves several threads and searches at once.
    """

    Options: ClassVar[type[Options]]
    embedding: Embedding
    output: OutputLayer
    heads: tuple[Head, ...] = ()
    """The attention heads in the order of their weights; none for a decoder without attention to the annotations."""
    supervised_step: AttentionStep = "output"
    """The step whose attention learns word alignment best when it is trained to: see docs/how-to/align.md."""
    has_fixed_state: ClassVar[bool] = False
    """Whether a GPU can repeat a recorded step: all tensors of the state keep their shapes, what else it holds never
    changes, and no step waits for the device."""

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """Indices into ``heads`` whose mean is the best word alignment, and whose first is the one to train for it.
        Defaults to all heads."""
        return tuple(range(len(self.heads)))

    def fixed(self, state: Any, num_steps: int) -> State | None:
        """A state of N rows as one whose tensors keep their shapes for a number of steps of one token, counted from
        :meth:`start`. None where there is no such state, or where a step waits for the device."""
        return state if self.has_fixed_state else None

    @abstractmethod
    def start(self, encoded: EncoderOutput) -> State:
        """The state before the first token, one row a sentence."""

    @abstractmethod
    def advance(self, token_NT: Tensor, state: Any, need_weights: bool = False) -> tuple[DecoderOutput, State]:
        """Read T tokens of each row, and give the state after the last one.

        Reading tokens one by one must give the same as reading them at once, and what a position gives depends on no
        later token. ``state`` stays as it was, so that it can be continued again.

        Args:
            token_NT: ids; the first token of all is SOS.
            state: from :meth:`start` or :meth:`advance`, possibly reordered.
            need_weights: give the attention weights, too.
        """

    def step(
        self,
        token_N: Tensor,
        state: Any,
        need_weights: bool = False,
        rows: Tensor | None = None,
        output: OutputLayer | None = None,
    ) -> StepOutput:
        """Read one token and give the logits of the next one, of some rows (indices into N) alone or by another output
        layer where these are given."""
        read, state = self.advance(token_N[:, None], state, need_weights)
        features_ND = read.features_BTD[:, 0]
        if rows is not None:
            features_ND = features_ND.index_select(0, rows)
        weights_NHS = None if read.weights_BHTS is None else read.weights_BHTS[:, :, 0]
        return StepOutput((output or self.output)(features_ND), weights_NHS, state)

    def unroll(self, target_BT: Tensor, encoded: EncoderOutput, need_weights: bool = False) -> DecoderOutput:
        """Read whole sentences (teacher forcing)."""
        return self.advance(target_BT, self.start(encoded), need_weights)[0]


class Model(Protocol):
    """Interface of a model, or of several that act as one, for search."""

    @property
    def device(self) -> torch.device: ...

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """Heads whose mean is the alignment; none for a model without attention."""

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> State:
        """The state before the first token, one row a sentence."""

    def step(self, token_N: Tensor, state: Any, need_weights: bool = False, rows: Tensor | None = None) -> StepOutput:
        """Read a token and give the logits of the next one; with ``rows``, indices into N, those of these rows alone.
        The state and the weights are those of all rows."""
