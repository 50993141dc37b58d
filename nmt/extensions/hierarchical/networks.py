"""Dialogues turn by turn and documents sentence by sentence: the hierarchical encoder, and the hierarchical attentions
of Xing et al. 2017 (HRAN) and Yang et al. 2016 (HAN).

A turn ends with its separator, the last one with EOS, so that no turn is empty. Turns are numbered back from the
current one, which is 0, so that the current turn has the same number in all dialogues.

Beside the legend of ``contracts.py``:

    R  turns of all dialogues of a batch      X  the sum of W over turns
    W  words of the longest turn              M  width of the utterance level, G gates of its cell
"""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.attention import AdditiveAttention, SizedScoreOptions
from nmt.models.cells import GatedOptions, GruCell
from nmt.models.contracts import Attention, EncoderOutput, EncoderParts, Memory, attend
from nmt.models.layers import length_mask
from nmt.models.networks.recurrence import Recurrence, StackOptions
from nmt.models.networks.recurrent import RecurrentEncoder
from nmt.recipe.options import Options


def number_turns(source_BS: Tensor, mask_BS: Tensor, separator: int | None) -> Tensor:
    """The turn of each position, 0 for the current one and in the padding; ``separator`` is the id that ends a turn.
    [B, S]"""
    if separator is None:
        return torch.zeros_like(source_BS)
    return ((source_BS == separator) & mask_BS).flip(1).cumsum(1).flip(1)


def fold(turn_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, Tensor]:
    """The length of each turn, its separator or EOS counted [R], and which of these is each dialogue's current one [B].

    Turns follow the dialogues and in each of them the order of time, so that real positions keep their order.
    """
    starts_BS = F.pad(turn_BS[:, 1:] != turn_BS[:, :-1], (1, 0), value=True) & mask_BS
    length_R = (starts_BS[mask_BS].cumsum(0) - 1).bincount()
    return length_R, starts_BS.sum(1).cumsum(0) - 1


class HierarchicalEncoder(RecurrentEncoder):
    """The word level of Xing et al. 2017: h_ij is the annotation of word j within utterance i, by one recurrent
    encoder for all utterances, which starts anew in each. Options are those of ``type: recurrent``.

    All turns of a batch are folded into rows and read at once. The memory holds the words in the order of the
    source with the turn of each; what is found in the utterances depends on the decoder's state, so the utterance
    level is in :class:`HierarchicalAttention`. ``final`` is the state after the current turn.
    """

    def __init__(self, options: RecurrentEncoder.Options, parts: EncoderParts) -> None:
        super().__init__(options, parts)
        self.separator, self.padding = parts.vocabulary.separator, parts.vocabulary.pad

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        turn_BS = number_turns(source_BS, mask_BS, self.separator)
        length_R, current_B = fold(turn_BS, mask_BS)
        real_RW = length_mask(length_R, int(length_R.max()))
        folded_RW = torch.full_like(real_RW, self.padding, dtype=source_BS.dtype)
        folded_RW[real_RW] = source_BS[mask_BS]
        turns = super().forward(folded_RW, length_R)
        values_PD = turns.memories[0].values_BSD.flatten(0, 1).index_select(0, real_RW.flatten().nonzero()[:, 0])
        zeros_XD = values_PD.new_zeros(source_BS.numel(), values_PD.shape[1])
        values_XD = zeros_XD.index_copy(0, mask_BS.flatten().nonzero()[:, 0], values_PD)
        memory = Memory(values_XD.view(*source_BS.shape, -1), mask_BS, positions={"turn": turn_BS})
        return EncoderOutput((memory,), tuple(part[current_B] for part in turns.final))


@dataclass(frozen=True, kw_only=True)
class FoldedMemory(Memory):
    """The words of a dialogue turn by turn as well, the current turn first; keys and values are in ``turns`` alone."""

    turns: tuple[tuple[Tensor, Tensor, Tensor], ...]
    """For each turn the words' gates [B, W, G], mask [B, W] and keys [B, W, A]; W is that of the longest in the batch.
    A turn that a dialogue lacks has one word, so that its attention is defined; ``present_BU`` leaves it out."""
    present_BU: Tensor  # True where a dialogue has the turn
    place_BS: Tensor  # where each position stands when turns are laid side by side, X positions in all


class HierarchicalAttention(Attention):
    """Xing et al. 2017, section 3. For a query s, over utterances 1 … m and from the last one back:

        word attention       e_ij = vᵀ tanh(W s + P l_{i+1} + U h_ij), a_i = softmax(e_i), r_i = Σ_j a_ij h_ij
        utterance encoder    l_i = GRU(r_i, l_{i+1}), where l_{m+1} is learned
        utterance attention  e'_i = v'ᵀ tanh(W' s + U' l_i), b = softmax(e')
        context              c = Σ_i b_i l_i

    The weight of a word is b_i a_ij: weights sum to 1 over the dialogue, and over an utterance to its b_i. A memory
    without turns is one utterance.

    The only loop is that of the utterance encoder. Its input weights are applied to all words once a sentence rather
    than to r_i at every step, which gives the same because r_i is linear in them.
    """

    capturable = False  # the turns of a batch are counted by the CPU

    class Options(Options):
        size: int = Field(256, ge=1, le=10_000, description="width of the hidden layer A of both scores")
        hidden_size: int = Field(
            256, ge=1, le=100_000, description="of the utterance-level encoder; the context is as wide"
        )

    def __init__(self, options: Options, query_size: int, memory_size: int) -> None:
        super().__init__()
        score = SizedScoreOptions(size=options.size)
        self.words = AdditiveAttention(score, query_size, memory_size)
        self.seen = nn.Linear(options.hidden_size, options.size, bias=False)
        self.utterance = GruCell(GatedOptions(), (memory_size,), options.hidden_size)
        self.utterances = AdditiveAttention(score, query_size, options.hidden_size)
        self.first_M = nn.Parameter(torch.empty(options.hidden_size))
        nn.init.normal_(self.first_M, std=options.hidden_size**-0.5)

    def context_size(self, memory_size: int) -> int:
        return self.utterance.hidden_size

    def prepare(self, memory: Memory) -> FoldedMemory:
        mask_BS = memory.mask_BS
        turn_BS = memory.positions.get("turn", torch.zeros_like(mask_BS, dtype=torch.long))
        length_BU = _turns(memory).sum(2)
        # Time runs from the highest number to 0: a turn starts where those with higher numbers end.
        start_BU = length_BU.flip(1).cumsum(1).flip(1) - length_BU
        keys_BSA, gates_BSG = self.words.key(memory.values_BSD), self.utterance.project(memory.values_BSD)
        position_S = torch.arange(mask_BS.shape[1], device=mask_BS.device)
        width_U = length_BU.amax(0)
        before_U = width_U.cumsum(0) - width_U
        place_BS = (before_U[turn_BS] + position_S - start_BU.gather(1, turn_BS)).masked_fill(~mask_BS, 0)
        turns = []
        for turn, width in enumerate(width_U.tolist()):
            index_BW = (start_BU[:, turn, None] + position_S[:width]).clamp(max=mask_BS.shape[1] - 1)
            mask_BW = position_S[:width] < length_BU[:, turn, None].clamp(min=1)
            turns.append((_take(gates_BSG, index_BW), mask_BW, _take(keys_BSA, index_BW)))
        return FoldedMemory(memory.values_BSD, mask_BS, turns=tuple(turns), present_BU=length_BU > 0, place_BS=place_BS)

    def forward(self, query_BQD: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        assert isinstance(memory, FoldedMemory)
        batch, queries = query_BQD.shape[:2]
        query_BQA = self.words.query(query_BQD)
        utterance_NM = self.first_M.to(query_BQA.dtype).expand(batch * queries, -1)
        utterances, word_weights = [], []
        for gates_BWG, mask_BW, keys_BWA in memory.turns:
            seen_BQA = torch.unflatten(self.seen(utterance_NM), 0, (batch, queries))
            scores_BQW = self.words.compare(query_BQA + seen_BQA, keys_BWA)
            gates_BQG, weights_BQW = attend(scores_BQW, Memory(gates_BWG, mask_BW))
            (utterance_NM,) = self.utterance(gates_BQG.flatten(0, 1), (utterance_NM,))
            utterances.append(utterance_NM)
            word_weights.append(weights_BQW)
        present_NU = memory.present_BU.repeat_interleave(queries, 0)
        levels = self.utterances.prepare(Memory(torch.stack(utterances, dim=1), present_NU))
        context_N1M, weights_N1U = self.utterances(query_BQD.flatten(0, 1)[:, None], levels)
        context_BQM = torch.unflatten(context_N1M[:, 0], 0, (batch, queries))
        weights_BQU = torch.unflatten(weights_N1U[:, 0], 0, (batch, queries))
        # b_i a_ij, in the order of the source, 0 in the padding.
        parts = [words_BQW * weights_BQU[:, :, turn, None] for turn, words_BQW in enumerate(word_weights)]
        place_BQS = memory.place_BS[:, None].expand(-1, queries, -1)
        return context_BQM, torch.cat(parts, dim=2).gather(2, place_BQS) * memory.mask_BS[:, None]


class DocumentAttention(Attention):
    """The hierarchical attention network of Yang et al. 2016, section 2.2, for documents of m sentences, and a query s:

        word attention       e_ij = vᵀ tanh(W s + U h_ij + b), a_i = softmax(e_i), r_i = Σ_j a_ij h_ij
        sentence encoder     l_1 … l_m = bidirectional GRU(r_1 … r_m)
        sentence attention   e'_i = v'ᵀ tanh(W' s + U' l_i + b'), c = softmax(e')
        context              Σ_i c_i l_i

    In the paper there is no query but s, which a classifier learns: W s + b is then its bias, and v its word context
    vector. Sentences are turns of the encoder. The weight of a word is c_i a_ij: weights sum to 1 over the document.
    """

    capturable = False  # the turns of a batch are counted by the CPU

    class Options(HierarchicalAttention.Options):
        hidden_size: int = Field(128, ge=1, le=100_000, description="of the sentence encoder, in each direction")

    def __init__(self, options: Options, query_size: int, memory_size: int) -> None:
        super().__init__()
        score = SizedScoreOptions(size=options.size)
        self.words = AdditiveAttention(score, query_size, memory_size)
        stack = StackOptions(cell={"type": "gru"}, hidden_size=options.hidden_size)
        self.sentence_encoder = Recurrence(stack, memory_size, bidirectional=True)
        self.sentences = AdditiveAttention(score, query_size, self.sentence_encoder.output_size)

    def context_size(self, memory_size: int) -> int:
        return self.sentence_encoder.output_size

    def prepare(self, memory: Memory) -> Memory:
        return self.words.prepare(memory)

    def forward(self, query_BQD: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        is_turn_BUS, queries = _turns(memory), query_BQD.shape[1]
        scores_BQ1S = self.words.scores(query_BQD, memory)[:, :, None]
        scores_BQ1S = scores_BQ1S.to(torch.promote_types(scores_BQ1S.dtype, torch.float32))
        # A finite number, because a document that lacks a sentence has no position there; it gets no weight below.
        words_BQUS = scores_BQ1S.masked_fill(~is_turn_BUS[:, None], torch.finfo(scores_BQ1S.dtype).min).softmax(-1)
        found_BQUD = torch.einsum("bqus,bsd->bqud", words_BQUS.to(memory.values_BSD.dtype), memory.values_BSD)
        present_NU = is_turn_BUS.any(2).repeat_interleave(queries, 0)
        # Turns are numbered back from the last one: what is backward here is forward in the document.
        sentences_NUM, _ = self.sentence_encoder(found_BQUD.flatten(0, 1), None, present_NU.sum(1))
        levels = self.sentences.prepare(Memory(sentences_NUM, present_NU))
        context_N1M, weights_N1U = self.sentences(query_BQD.flatten(0, 1)[:, None], levels)
        weights_BQU = torch.unflatten(weights_N1U[:, 0], 0, (-1, queries))
        weights_BQS = torch.einsum("bqu,bqus->bqs", weights_BQU, words_BQUS)
        return torch.unflatten(context_N1M[:, 0], 0, (-1, queries)), weights_BQS


def _turns(memory: Memory) -> Tensor:
    """Whether a position belongs to a turn. [B, U, S]"""
    turn_BS = memory.positions.get("turn", torch.zeros_like(memory.mask_BS, dtype=torch.long))
    number_U1 = torch.arange(int(turn_BS.max()) + 1, device=turn_BS.device)[:, None]
    return (turn_BS[:, None] == number_U1) & memory.mask_BS[:, None]


def _take(values_BSD: Tensor, index_BW: Tensor) -> Tensor:
    """Positions of each sequence. [B, W, D]"""
    first_B1 = torch.arange(len(index_BW), device=index_BW.device)[:, None] * values_BSD.shape[1]
    rows = values_BSD.flatten(0, 1).index_select(0, (index_BW + first_B1).flatten())
    return torch.unflatten(rows, 0, index_BW.shape)
