"""Score functions and multi-head attention against their equations and against PyTorch's own."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from small_systems import torch_attention
from torch.nn import functional as F

from nmt.models.attention import MultiHeadAttention, biased_softmax, padding_bias
from nmt.models.build import ATTENTIONS, make_attention
from nmt.models.contracts import Attention, Memory
from nmt.models.layers import length_mask

WIDTH, LENGTHS = 6, [4, 2, 5]
# Attention of two levels has no score of a single word: see test_hierarchical.py.
SCORES = sorted(ATTENTIONS.builtin)
Vector = npt.NDArray[np.float64]


@pytest.fixture
def memory() -> Memory:
    torch.manual_seed(21)
    return Memory(torch.randn(3, 5, WIDTH, dtype=torch.float64), length_mask(torch.tensor(LENGTHS), 5))


def expected_score(attention: Attention, query: Vector, annotation: Vector, position: int) -> Any:
    """The score of one pair, by its equation in NumPy."""
    layers = {name: value.detach().numpy() for name, value in attention.named_parameters()}
    match type(attention).__name__:
        case "AdditiveAttention":
            hidden = layers["query.weight"] @ query + layers["query.bias"] + layers["key.weight"] @ annotation
            return layers["score.weight"][0] @ np.tanh(hidden)
        case "ConcatAttention":
            weight = np.concatenate((layers["query.weight"], layers["key.weight"]), axis=1)
            return layers["score.weight"][0] @ np.tanh(weight @ np.concatenate((query, annotation)))
        case "CosineAttention":
            key = layers["key.weight"] @ query + layers["key.bias"]
            (strength,) = np.log(1 + np.exp(layers["strength.weight"] @ query + layers["strength.bias"]))
            return strength * (key @ annotation) / np.sqrt((key @ key) * (annotation @ annotation))
        case "PlainCosineAttention":
            return query @ annotation / np.sqrt((query @ query) * (annotation @ annotation))
        case "LocationAttention":
            return (layers["position.weight"] @ query)[position]
        case "DotAttention":
            return query @ annotation
        case "ScaledDotAttention":
            return query @ annotation / np.sqrt(len(query))
        case "GeneralAttention":
            return query @ (layers["key.weight"] @ annotation)
    raise AssertionError(f"write the equation of {attention}")


@pytest.mark.parametrize(
    ("kind", "query_width"),
    [*product(SCORES, [WIDTH]), *product(("additive", "concat", "cosine", "general", "location"), [3])],
)
def test_scores_contexts_and_weights_follow_the_equations(kind: str, query_width: int, memory: Memory) -> None:
    query_BQD = torch.randn(3, 2, query_width, dtype=torch.float64)
    attention = make_attention({"type": kind}, query_width, WIDTH).double()
    prepared = attention.prepare(memory)
    scores_BQS = attention.scores(query_BQD, prepared)
    context_BQD, weights_BQS = attention(query_BQD, prepared)
    for b, length in enumerate(LENGTHS):
        annotations = memory.values_BSD[b, :length].numpy()
        for q, query in enumerate(query_BQD[b].numpy()):
            scores = np.array([expected_score(attention, query, values, s) for s, values in enumerate(annotations)])
            assert scores_BQS[b, q, :length].tolist() == pytest.approx(scores, abs=1e-9)
            weights = np.exp(scores) / np.exp(scores).sum()
            assert weights_BQS[b, q].tolist() == pytest.approx([*weights, *[0.0] * (5 - length)], abs=1e-6)
            assert context_BQD[b, q].tolist() == pytest.approx(weights @ annotations, abs=1e-6)


@pytest.mark.parametrize("strength", [0.5, 10.0, 50.0])
def test_key_strength_starts_where_it_is_set_and_stays_positive(strength: float) -> None:
    attention = make_attention({"type": "cosine", "strength": strength}, WIDTH, WIDTH)
    values_BSD = torch.randn(1, 3, WIDTH)
    memory = attention.prepare(Memory(values_BSD, torch.ones(1, 3, dtype=torch.bool)))
    key_D = attention.key.bias
    expected = strength * F.cosine_similarity(key_D, values_BSD[0], dim=-1)
    torch.testing.assert_close(attention.scores(torch.zeros(1, 1, WIDTH), memory)[0, 0], expected)
    with torch.no_grad():
        attention.strength.weight.fill_(-3.0)
        attention.key.weight.zero_()
    scores_S = attention.scores(torch.ones(1, 1, WIDTH), memory)[0, 0]
    assert torch.equal(scores_S.sign(), expected.sign())


def test_positions_beyond_the_last_known_one_get_no_weight(memory: Memory) -> None:
    attention = make_attention({"type": "location", "max_positions": 3}, WIDTH, WIDTH).double()
    query_BQD = torch.randn(3, 2, WIDTH, dtype=torch.float64)
    context_BQD, weights_BQS = attention(query_BQD, attention.prepare(memory))
    assert not weights_BQS[:, :, 3:].any()
    torch.testing.assert_close(weights_BQS.sum(-1), torch.ones(3, 2, dtype=torch.float64))
    short = Memory(memory.values_BSD[:, :3], length_mask(torch.tensor([3, 2, 3]), 3))
    torch.testing.assert_close(attention(query_BQD, attention.prepare(short))[0], context_BQD)


@pytest.mark.parametrize("memory_width", [None, 5])
def test_multi_head_attention_equals_pytorchs(memory_width: int | None) -> None:
    torch.manual_seed(22)
    ours = MultiHeadAttention(8, 2, dropout=0.0, memory_width=memory_width)
    theirs = torch_attention(ours, memory_width)
    query_BTD, memory_BSD = torch.randn(3, 4, 8), torch.randn(3, 5, memory_width or 8)
    mask_BS = length_mask(torch.tensor(LENGTHS), 5)
    found, weights = ours(query_BTD, ours.project(memory_BSD), padding_bias(mask_BS), need_weights=True)
    expected, expected_weights = theirs(
        query_BTD, memory_BSD, memory_BSD, key_padding_mask=~mask_BS, average_attn_weights=False
    )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights, expected_weights, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 12, 16, 31, 32, 40])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_softmax_of_any_number_of_scores(length: int, dtype: torch.dtype) -> None:
    torch.manual_seed(4)
    scores = torch.randn(3, 2, 5, length).mul_(4).to(dtype).requires_grad_()
    bias, weight = padding_bias(length_mask(torch.tensor([length, (length + 1) // 2, 1]), length)), torch.randn(length)
    found = biased_softmax(scores, bias)
    expected = (scores.double() + bias).softmax(dim=-1)
    assert found.dtype == dtype
    # The distance between two numbers below 1 of each type.
    tolerance = {"atol": torch.finfo(dtype).eps, "rtol": 4 * torch.finfo(dtype).eps}
    torch.testing.assert_close(found.double(), expected, **tolerance)
    ours, theirs = (torch.autograd.grad((p.double() * weight).sum(), scores)[0] for p in (found, expected))
    torch.testing.assert_close(ours, theirs, atol=4 * torch.finfo(dtype).eps, rtol=4 * torch.finfo(dtype).eps)
