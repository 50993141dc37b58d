"""Dialogues: how turns are numbered and folded, the hierarchical encoder and hierarchical attention."""

import math
from collections.abc import Callable
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


@given(SOURCES)
def test_turns_are_numbered_back_from_the_current_one(sources: list[list[int]]) -> None:
    ids_BS, mask_BS = padded(sources)
    turn_BS = number_turns(ids_BS, mask_BS, SEPARATOR)
    for row, source in enumerate(sources):
        numbers = turn_BS[row, : len(source) + 1].tolist()
        expected = turns_of(source)
        assert [len(list(group)) for _, group in groupby(numbers)] == [len(turn) for turn in expected]
        assert [number for number, _ in groupby(numbers)] == list(range(len(expected)))[::-1]
        assert not turn_BS[row, len(source) + 1 :].any()


@given(SOURCES)
def test_every_turn_becomes_a_row(sources: list[list[int]]) -> None:
    ids_BS, mask_BS = padded(sources)
    length_R, current_B = fold(number_turns(ids_BS, mask_BS, SEPARATOR), mask_BS)
    expected = [turn for source in sources for turn in turns_of(source)]
    assert length_R.tolist() == [len(turn) for turn in expected]
    assert [expected[row][-1] for row in current_B.tolist()] == [EOS] * len(sources)


@given(SOURCES, st.sampled_from([SEPARATOR, EOS, 7]))
def test_what_stands_in_the_padding_is_not_looked_at(sources: list[list[int]], garbage: int) -> None:
    (ids_BS, mask_BS), (clean_BS, _) = padded(sources, garbage), padded(sources)
    turn_BS, expected_BS = (number_turns(ids, mask_BS, SEPARATOR) for ids in (ids_BS, clean_BS))
    assert torch.equal(turn_BS * mask_BS, expected_BS * mask_BS)
    for found, expected in zip(fold(turn_BS, mask_BS), fold(expected_BS, mask_BS), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("separator", [None, 9])
def test_without_a_separator_there_is_one_turn(separator: int | None) -> None:
    ids_BS, mask_BS = padded([[5, 6], [SEPARATOR, 7, 5]])
    turn_BS = number_turns(ids_BS, mask_BS, separator)
    assert not turn_BS.any()
    assert fold(turn_BS, mask_BS)[0].tolist() == [3, 4]


MakeModel = Callable[..., Seq2Seq]
Vector = list[float]

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


def product(weight: Tensor, vector: Vector) -> Vector:
    return [sum(w * x for w, x in zip(row, vector, strict=True)) for row in weight.tolist()]


def softmax(scores: Vector) -> Vector:
    exponentials = [math.exp(score) for score in scores]
    return [value / sum(exponentials) for value in exponentials]


def mean(weights: Vector, vectors: list[Vector]) -> Vector:
    return [sum(w * v for w, v in zip(weights, column, strict=True)) for column in zip(*vectors, strict=True)]


def additive(layers: dict[str, Tensor], name: str, query: Vector, key: Vector, *others: Vector) -> float:
    """vᵀ tanh(W query + b + U key + others)."""
    parts = zip(
        product(layers[f"{name}.query.weight"], query),
        layers[f"{name}.query.bias"].tolist(),
        product(layers[f"{name}.key.weight"], key),
        *others,
        strict=True,
    )
    hidden = [math.tanh(sum(part)) for part in parts]
    return product(layers[f"{name}.score.weight"], hidden)[0]


def gru(layers: dict[str, Tensor], x: Vector, hidden: Vector) -> Vector:
    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    size = len(hidden)
    inputs = product(layers["utterance.input_weights.0"], x)
    recurrent = [
        value + bias
        for value, bias in zip(
            product(layers["utterance.hidden_weight"], hidden), layers["utterance.bias"].tolist(), strict=True
        )
    ]
    after = []
    for i in range(size):
        reset, update = sigmoid(inputs[i] + recurrent[i]), sigmoid(inputs[size + i] + recurrent[size + i])
        candidate = math.tanh(inputs[2 * size + i] + reset * recurrent[2 * size + i])
        after.append((1 - update) * hidden[i] + update * candidate)
    return after


def by_hand(attention: HierarchicalAttention, query: Vector, turns: list[list[Vector]]) -> tuple[Vector, Vector]:
    """Context and weights of all words for one query and one dialogue, whose turns stand in order of time."""
    layers = dict(attention.named_parameters())
    utterance: Vector = layers["first_M"].tolist()
    utterances: list[Vector] = []
    word_weights: list[Vector] = []
    for words in reversed(turns):
        seen = product(layers["seen.weight"], utterance)
        weights = softmax([additive(layers, "words", query, word, seen) for word in words])
        utterance = gru(layers, mean(weights, words), utterance)
        utterances.insert(0, utterance)
        word_weights.insert(0, weights)
    turn_weights = softmax([additive(layers, "utterances", query, one) for one in utterances])
    weights = [turn * word for turn, words in zip(turn_weights, word_weights, strict=True) for word in words]
    return mean(turn_weights, utterances), weights


@torch.no_grad()
@pytest.mark.parametrize("num_queries", [1, 3])
def test_contexts_and_weights_follow_the_equations(attention: HierarchicalAttention, num_queries: int) -> None:
    memory = make_memory(DIALOGUES)
    query_BQD = torch.randn(len(DIALOGUES), num_queries, QUERY, dtype=torch.float64)
    context_BQM, weights_BQS = attention(query_BQD, attention.prepare(memory))
    assert context_BQM.shape == (len(DIALOGUES), num_queries, attention.context_size(MEMORY))
    for row, lengths in enumerate(DIALOGUES):
        words = memory.values_BSD[row].tolist()
        turns = [[words.pop(0) for _ in range(length)] for length in lengths]
        for position in range(num_queries):
            context, weights = by_hand(attention, query_BQD[row, position].tolist(), turns)
            assert context_BQM[row, position].tolist() == pytest.approx(context, abs=1e-6)
            assert weights_BQS[row, position, : len(weights)].tolist() == pytest.approx(weights, abs=1e-6)
            assert not weights_BQS[row, position, len(weights) :].any()


@torch.no_grad()
def test_a_memory_without_turns_is_one_turn(attention: HierarchicalAttention) -> None:
    memory = make_memory([[3], [5]])
    query_BQD = torch.randn(2, 1, QUERY, dtype=torch.float64)
    found = attention(query_BQD, attention.prepare(Memory(memory.values_BSD, memory.mask_BS)))
    torch.testing.assert_close(found, attention(query_BQD, attention.prepare(memory)))


@torch.no_grad()
def test_the_latest_turn_is_read_first(attention: HierarchicalAttention) -> None:
    """What is found in a turn depends on the later ones, not on the earlier ones."""
    memory = make_memory([[2, 3, 4]])
    query_BQD = torch.randn(1, 1, QUERY, dtype=torch.float64)

    def within(values_BSD: Tensor) -> list[Tensor]:
        _, weights = attention(
            query_BQD, attention.prepare(Memory(values_BSD, memory.mask_BS, positions=memory.positions))
        )
        return [turn / turn.sum() for turn in weights[0, 0].split([2, 3, 4])]

    before = within(memory.values_BSD)
    for changed, position in enumerate((0, 2, 5)):
        values_BSD = memory.values_BSD.clone()
        values_BSD[0, position] += 1
        after = within(values_BSD)
        same = [torch.allclose(a, b, atol=1e-12) for a, b in zip(before, after, strict=True)]
        assert same == [turn > changed for turn in range(3)]


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
    memory = make_memory(DIALOGUES, longest=15)
    query_BQD = torch.randn(len(DIALOGUES), 2, QUERY, dtype=torch.float64)
    context_BQM, weights_BQS = attention(query_BQD, attention.prepare(memory))
    layers = dict(attention.named_parameters())
    (gru_layer,) = attention.sentence_encoder.layers
    assert isinstance(gru_layer, torch.nn.GRU)
    for row, lengths in enumerate(DIALOGUES):
        sentences = memory.values_BSD[row, : sum(lengths)].split(lengths)
        for position in range(2):
            query = query_BQD[row, position].tolist()
            a = [softmax([additive(layers, "words", query, word) for word in words.tolist()]) for words in sentences]
            r_UD = torch.tensor([mean(w, words.tolist()) for w, words in zip(a, sentences, strict=True)]).double()
            states_UM, _ = gru_layer(r_UD.flip(0)[None])
            states_UM = states_UM[0].flip(0)
            c = softmax([additive(layers, "sentences", query, one) for one in states_UM.tolist()])
            expected = [turn * word for turn, words in zip(c, a, strict=True) for word in words]
            assert context_BQM[row, position].tolist() == pytest.approx(mean(c, states_UM.tolist()), abs=1e-6)
            assert weights_BQS[row, position, : len(expected)].tolist() == pytest.approx(expected, abs=1e-6)
            assert not weights_BQS[row, position, len(expected) :].any()
