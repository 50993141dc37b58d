"""Dialogues: how turns are numbered and folded, the hierarchical encoder and hierarchical attention."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nmt.data.batch import Batch
from nmt.extensions.hierarchical.networks import DocumentAttention, HierarchicalAttention, fold, number_turns
from nmt.models.contracts import Memory
from nmt.models.layers import length_mask
from nmt.models.seq2seq import Seq2Seq

SEPARATOR, EOS, PAD = 4, 3, 0
# Many separators, so that there are empty turns in all places.
SOURCES = st.lists(st.lists(st.sampled_from([SEPARATOR, SEPARATOR, 5, 6, 7]), max_size=12), min_size=1, max_size=5)


def padded(sources: list[list[int]], padding: int = PAD) -> tuple[Tensor, Tensor]:
    """Ids with EOS, padded, and their mask."""
    length_B = torch.tensor([len(source) + 1 for source in sources])
    longest = int(length_B.max())
    rows = [[*source, EOS, *[padding] * (longest - len(source) - 1)] for source in sources]
    return torch.tensor(rows), length_mask(length_B, longest)


def turns_of(source: list[int]) -> list[list[int]]:
    """The turns of a source with what ends them, cut in the plainest way."""
    turns: list[list[int]] = [[]]
    for token in [*source, EOS]:
        turns[-1].append(token)
        if token == SEPARATOR:
            turns.append([])
    return turns


@given(SOURCES, st.sampled_from([PAD, SEPARATOR, EOS, 7]))
def test_turns_are_numbered_back_whatever_stands_in_the_padding(sources: list[list[int]], padding: int) -> None:
    ids_BS, mask_BS = padded(sources, padding)
    turn_BS = number_turns(ids_BS, mask_BS, SEPARATOR)
    for row, source in enumerate(sources):
        numbers = turn_BS[row, : len(source) + 1].tolist()
        expected = turns_of(source)
        assert [len(list(group)) for _, group in groupby(numbers)] == [len(turn) for turn in expected]
        assert [number for number, _ in groupby(numbers)] == list(range(len(expected)))[::-1]
        assert not turn_BS[row, len(source) + 1 :].any()
    length_R, current_B = fold(turn_BS, mask_BS)
    turns = [turn for source in sources for turn in turns_of(source)]
    assert length_R.tolist() == [len(turn) for turn in turns]
    assert [turns[row][-1] for row in current_B.tolist()] == [EOS] * len(sources)


@pytest.mark.parametrize("separator", [None, 9])
def test_without_a_separator_there_is_one_turn(separator: int | None) -> None:
    ids_BS, mask_BS = padded([[5, 6], [SEPARATOR, 7, 5]])
    turn_BS = number_turns(ids_BS, mask_BS, separator)
    assert not turn_BS.any()
    assert fold(turn_BS, mask_BS)[0].tolist() == [3, 4]


MakeModel = Callable[..., Seq2Seq]
Weights = dict[str, Tensor]

QUERY, MEMORY, OPTIONS = 5, 6, HierarchicalAttention.Options(size=7, hidden_size=4)
ENCODER = {"type": "hierarchical", "hidden_size": 8}
DECODERS = {
    kind: {"type": kind, "hidden_size": 16, "attention": {"type": "hierarchical", "size": 10, "hidden_size": 12}}
    for kind in ("bahdanau", "luong")
}
# Turn lengths of each dialogue, the first turn first; a separator or EOS makes each at least 1.
DIALOGUES = [[3, 1, 4], [2], [1, 1, 1, 5], [4, 2]]


@pytest.fixture
def attention() -> HierarchicalAttention:
    torch.manual_seed(31)
    return HierarchicalAttention(OPTIONS, QUERY, MEMORY).double()


def make_memory(dialogues: list[list[int]], longest: int = 0) -> Memory:
    """Random annotations; padding holds numbers that would show."""
    lengths = [sum(turns) for turns in dialogues]
    longest = max(longest, *lengths)
    torch.manual_seed(32)
    words = [torch.randn(length, MEMORY, dtype=torch.float64) for length in lengths]
    values_BSD = torch.stack([torch.cat((w, torch.full((longest - len(w), MEMORY), 77.0))) for w in words])
    turn_BS = torch.zeros(len(dialogues), longest, dtype=torch.long)
    for row, turns in enumerate(dialogues):
        numbers = [len(turns) - 1 - number for number, length in enumerate(turns) for _ in range(length)]
        turn_BS[row, : len(numbers)] = torch.tensor(numbers)
    return Memory(values_BSD, length_mask(torch.tensor(lengths), longest), positions={"turn": turn_BS})


def additive(w: Weights, name: str, query_D: Tensor, key_XD: Tensor, other: Tensor | float = 0.0) -> Tensor:
    """softmax of vᵀ tanh(W query + b + U key + other). [X]"""
    hidden_XA = w[f"{name}.query.weight"] @ query_D + w[f"{name}.query.bias"] + other
    hidden_XA = (hidden_XA + key_XD @ w[f"{name}.key.weight"].T).tanh()
    return (hidden_XA @ w[f"{name}.score.weight"][0]).softmax(0)


def gru(w: Weights, x_D: Tensor, hidden_M: Tensor) -> Tensor:
    reset_M, update_M, new_M = (w["utterance.input_weights.0"] @ x_D).chunk(3)
    by_hidden = (w["utterance.hidden_weight"] @ hidden_M + w["utterance.bias"]).chunk(3)
    reset_M, update_M = (reset_M + by_hidden[0]).sigmoid(), (update_M + by_hidden[1]).sigmoid()
    return (1 - update_M) * hidden_M + update_M * (new_M + reset_M * by_hidden[2]).tanh()


def by_hand(w: Weights, query_D: Tensor, turns: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Context and weights of all words for one query and one dialogue, whose turns stand in order of time."""
    utterances, word_weights = [w["first_M"]], list[Tensor]()
    for words_XD in reversed(turns):
        word_weights.insert(0, additive(w, "words", query_D, words_XD, w["seen.weight"] @ utterances[0]))
        utterances.insert(0, gru(w, word_weights[0] @ words_XD, utterances[0]))
    utterances_UM = torch.stack(utterances[:-1])
    turn_weights_U = additive(w, "utterances", query_D, utterances_UM)
    parts = [turn * words for turn, words in zip(turn_weights_U, word_weights, strict=True)]
    return turn_weights_U @ utterances_UM, torch.cat(parts)


def assert_equal_to(
    attention: HierarchicalAttention | DocumentAttention, memory: Memory, expected: Callable[..., tuple[Tensor, Tensor]]
) -> None:
    """Compares contexts and weights of three queries with those of ``expected(query, turns)``."""
    query_BQD = torch.randn(len(DIALOGUES), 3, QUERY, dtype=torch.float64)
    for queries_BQD in (query_BQD, query_BQD[:, :1]):
        context_BQM, weights_BQS = attention(queries_BQD, attention.prepare(memory))
        assert context_BQM.shape == (*queries_BQD.shape[:2], attention.context_size(MEMORY))
        for row, lengths in enumerate(DIALOGUES):
            turns = memory.values_BSD[row, : sum(lengths)].split(lengths)
            for position, query_D in enumerate(queries_BQD[row]):
                context_M, weights_S = expected(query_D, turns)
                torch.testing.assert_close(context_BQM[row, position], context_M, atol=1e-6, rtol=0)
                found_S, rest_S = weights_BQS[row, position].split(
                    (len(weights_S), weights_BQS.shape[2] - len(weights_S))
                )
                torch.testing.assert_close(found_S, weights_S, atol=1e-6, rtol=0)
                assert not rest_S.any()


@torch.no_grad()
def test_contexts_and_weights_follow_the_equations(attention: HierarchicalAttention) -> None:
    assert_equal_to(attention, make_memory(DIALOGUES), partial(by_hand, dict(attention.named_parameters())))


@torch.no_grad()
def test_a_memory_without_turns_is_one_turn(attention: HierarchicalAttention) -> None:
    memory = make_memory([[3], [5]])
    query_BQD = torch.randn(2, 1, QUERY, dtype=torch.float64)
    found = attention(query_BQD, attention.prepare(Memory(memory.values_BSD, memory.mask_BS)))
    torch.testing.assert_close(found, attention(query_BQD, attention.prepare(memory)))


@torch.no_grad()
def test_one_turn_is_read_as_the_recurrent_encoder_reads_it(make_model: MakeModel, batch: Batch) -> None:
    kinds = ({**ENCODER, "type": kind, "num_layers": 2} for kind in ("recurrent", "hierarchical"))
    flat, folded = (make_model(encoder, DECODERS["bahdanau"]) for encoder in kinds)
    folded.load_state_dict(flat.state_dict())
    one_turn_BS = batch.source_BS.masked_fill(batch.source_BS == 4, 5)
    found, expected = (model.encode(one_turn_BS, batch.source_length_B) for model in (folded, flat))
    torch.testing.assert_close(found.memories[0].values_BSD, expected.memories[0].values_BSD)
    torch.testing.assert_close(found.final, expected.final)


@torch.no_grad()
def test_the_words_of_a_turn_are_encoded_as_if_it_were_alone(make_model: MakeModel) -> None:
    model = make_model(ENCODER, DECODERS["bahdanau"])
    source_BS = torch.tensor([[7, 8, 4, 4, 9, 10, 11, 3], [7, 8, 4, 9, 10, 11, 3, 0]])
    encoded = model.encode(source_BS, torch.tensor([8, 7]))
    words_BSD = encoded.memories[0].values_BSD
    torch.testing.assert_close(words_BSD[0, :3], words_BSD[1, :3])
    torch.testing.assert_close(words_BSD[0, 4:], words_BSD[1, 3:7])
    current = model.encode(torch.tensor([[9, 10, 11, 3]]), torch.tensor([4]))
    torch.testing.assert_close(words_BSD[0, 4:], current.memories[0].values_BSD[0])
    for part, expected in zip(encoded.final, current.final, strict=True):
        torch.testing.assert_close(part, expected.expand_as(part))


@torch.no_grad()
def test_document_attention_follows_the_equations() -> None:
    """Yang et al. 2016, document by document; PyTorch's GRU reads the sentences from the first to the last."""
    torch.manual_seed(33)
    attention = DocumentAttention(DocumentAttention.Options(size=7, hidden_size=4), QUERY, MEMORY).double()
    w = dict(attention.named_parameters())
    (gru_layer,) = attention.sentence_encoder.layers

    def expected(query_D: Tensor, sentences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        word_weights = [additive(w, "words", query_D, words_XD) for words_XD in sentences]
        found_UD = torch.stack([own @ words_XD for own, words_XD in zip(word_weights, sentences, strict=True)])
        states_UM = gru_layer(found_UD.flip(0)[None])[0][0].flip(0)
        weights_U = additive(w, "sentences", query_D, states_UM)
        parts = [turn * words for turn, words in zip(weights_U, word_weights, strict=True)]
        return weights_U @ states_UM, torch.cat(parts)

    assert_equal_to(attention, make_memory(DIALOGUES, longest=15), expected)
