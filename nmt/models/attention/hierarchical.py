"""Hierarchical attention over the turns of a dialogue (HRAN).

Beside the legend of ``interfaces.py``: X positions of a dialogue that is folded by turn, W of one turn among them,
M width of the utterance level.
"""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.config import Options
from nmt.models.attention.scores import AdditiveAttention, SizedScoreOptions
from nmt.models.cells import GruCell
from nmt.models.interfaces import Attention, Memory


class HierarchicalAttentionOptions(Options):
    """Options of ``type: hierarchical``."""

    size: int = Field(256, ge=1, description="width of the hidden layer A of both scores")
    hidden_size: int = Field(256, ge=1, description="of the utterance-level encoder; the context is as wide")


@dataclass(frozen=True)
class FoldedMemory(Memory):
    """Words turn by turn, the current turn first, each turn as long as the longest of the batch in its place.

    ``values``, ``mask`` and ``keys`` have X positions in place of S. A turn that a dialogue lacks counts as one
    word, so that its attention is defined; ``present_BU`` leaves it out.
    """

    widths: tuple[int, ...] = ()
    """W of each turn; their sum is X."""
    present_BU: Tensor | None = None
    """True where a dialogue has the turn."""
    place_BS: Tensor | None = None
    """Where each position of the sequence stands among the X."""
    real_BS: Tensor | None = None
    """True at real positions of the sequence."""


class HierarchicalAttention(Attention):
    """Xing et al. 2017, equations 3 to 8, over utterances 1 … m. For a query s and from the last utterance back:

        word attention       e_ij = vᵀ tanh(W [s; l_{i+1}] + U h_ij), a_i = softmax(e_i), r_i = Σ_j a_ij h_ij
        utterance encoder    l_i = GRU(r_i, l_{i+1}), where l_{m+1} is learned
        utterance attention  e'_i = v'ᵀ tanh(W' s + U' l_i), b = softmax(e')
        context              c = Σ_i b_i l_i

    The weight of a word is b_i a_ij: weights sum to 1 over the dialogue, and over an utterance to its b_i. A memory
    that doesn't tell turns apart is one utterance. The only loop is that of the utterance encoder.
    """

    Options = HierarchicalAttentionOptions

    def __init__(self, options: HierarchicalAttentionOptions, query_size: int, memory_size: int) -> None:
        super().__init__()
        score = SizedScoreOptions(size=options.size)
        self.words = AdditiveAttention(score, query_size + options.hidden_size, memory_size)
        self.utterance = GruCell((memory_size,), options.hidden_size)
        self.utterances = AdditiveAttention(score, query_size, options.hidden_size)
        self.first_M = nn.Parameter(torch.empty(options.hidden_size).normal_(std=options.hidden_size**-0.5))

    def context_size(self, memory_size: int) -> int:
        return self.utterance.hidden_size

    def prepare(self, memory: Memory) -> FoldedMemory:
        mask_BS = memory.mask_BS
        turn_BS = torch.zeros_like(mask_BS, dtype=torch.long) if memory.turn_BS is None else memory.turn_BS
        num_turns = int(turn_BS.max()) + 1
        # In the padding, a turn beyond the last, which is cut off again.
        turn_BS = turn_BS.masked_fill(~mask_BS, num_turns)
        length_BU = turn_BS.new_zeros(len(turn_BS), num_turns + 1).scatter_add_(1, turn_BS, torch.ones_like(turn_BS))
        length_BU = length_BU[:, :num_turns]
        # Time runs from the highest number to 0, so a turn starts where those with higher numbers end.
        start_BU = length_BU.flip(1).cumsum(1).flip(1) - length_BU
        widths = length_BU.amax(0).tolist()
        within_X = torch.cat([torch.arange(width, device=mask_BS.device) for width in widths])
        turn_X = torch.repeat_interleave(torch.tensor(widths, device=mask_BS.device))
        index_BX = (start_BU[:, turn_X] + within_X).clamp(max=mask_BS.shape[1] - 1)
        offset_U = turn_X.new_tensor([0, *widths[:-1]]).cumsum(0)
        position_S = torch.arange(mask_BS.shape[1], device=mask_BS.device)
        inside_BS = turn_BS.clamp(max=num_turns - 1)
        place_BS = offset_U[inside_BS] + position_S - start_BU.gather(1, inside_BS)
        keys_BSA = self.words.key(memory.values_BSD)
        return FoldedMemory(
            _take(memory.values_BSD, index_BX),
            within_X < length_BU.clamp(min=1)[:, turn_X],
            _take(keys_BSA, index_BX),
            widths=tuple(widths),
            present_BU=length_BU > 0,
            place_BS=place_BS.masked_fill(~mask_BS, 0),
            real_BS=mask_BS,
        )

    def scores(self, query_BQD: Tensor, memory: Memory) -> Tensor:
        """Logarithms of the weights: the two levels have no score in common."""
        _, weights_BQS = self.forward(query_BQD, memory)
        return weights_BQS.log()

    def forward(self, query_BQD: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        assert isinstance(memory, FoldedMemory)
        assert memory.present_BU is not None
        batch, queries = query_BQD.shape[:2]
        utterance_NM = self.first_M.expand(batch * queries, -1)
        utterances, word_weights = [], []
        for values_BWD, mask_BW, keys_BWA in _turns(memory):
            seen_BQM = torch.unflatten(utterance_NM, 0, (batch, queries)).to(query_BQD.dtype)
            found_BQD, weights_BQW = self.words(
                torch.cat((query_BQD, seen_BQM), dim=-1), Memory(values_BWD, mask_BW, keys_BWA)
            )
            gates_NG = self.utterance.project(found_BQD.flatten(0, 1))
            (utterance_NM,) = self.utterance(gates_NG, (utterance_NM,))
            utterances.append(utterance_NM)
            word_weights.append(weights_BQW)
        present_NU = memory.present_BU.repeat_interleave(queries, 0)
        levels = self.utterances.prepare(Memory(torch.stack(utterances, dim=1), present_NU))
        context_N1M, weights_N1U = self.utterances(query_BQD.flatten(0, 1)[:, None], levels)
        context_BQM = torch.unflatten(context_N1M[:, 0], 0, (batch, queries))
        weights_BQU = torch.unflatten(weights_N1U[:, 0], 0, (batch, queries))
        return context_BQM, _in_sequence(weights_BQU, word_weights, memory)


def _turns(memory: FoldedMemory) -> list[tuple[Tensor, ...]]:
    """Values, mask and keys of each turn."""
    parts = (memory.values_BSD, memory.mask_BS, memory.keys)
    return list(zip(*(part.split(memory.widths, dim=1) for part in parts), strict=True))


def _in_sequence(weights_BQU: Tensor, word_weights: list[Tensor], memory: FoldedMemory) -> Tensor:
    """The weight of each word, b_i a_ij, in the order of the source; 0 in the padding. [B, Q, S]"""
    assert memory.place_BS is not None
    assert memory.real_BS is not None
    parts = [words * weights_BQU[:, :, turn, None] for turn, words in enumerate(word_weights)]
    place_BQS = memory.place_BS[:, None].expand(-1, weights_BQU.shape[1], -1)
    return torch.cat(parts, dim=2).gather(2, place_BQS) * memory.real_BS[:, None]


def _take(values_BSD: Tensor, index_BX: Tensor) -> Tensor:
    """Positions of each sequence, in another order. [B, X, D]"""
    offset_B1 = torch.arange(len(index_BX), device=index_BX.device)[:, None] * values_BSD.shape[1]
    rows = values_BSD.flatten(0, 1).index_select(0, (index_BX + offset_B1).flatten())
    return torch.unflatten(rows, 0, index_BX.shape)
