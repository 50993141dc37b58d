"""What a rule forbids, against a look at every hypothesis by itself."""

import random

import pytest
import torch
from torch import Tensor

from nmt.data.vocabulary import WordVocabulary
from nmt.decoding.logits_processors import EndAtLimit, ForcedPrefix, NeverPhrases, NeverSpecial, NoRepeatedNgram, Rule

SOS, EOS, SIZE = 2, 3, 9


def allowed(rule: Rule, hypotheses: list[list[int]], sentences: list[int] | None = None) -> list[set[int]]:
    """The pieces that may follow each hypothesis."""
    tokens_Nt = torch.tensor([[SOS, *hypothesis] for hypothesis in hypotheses])
    logits_NV = torch.randn(len(hypotheses), SIZE)
    before = logits_NV.clone()
    rule(logits_NV, tokens_Nt, torch.tensor(sentences or range(len(hypotheses))))
    kept: Tensor = logits_NV.isfinite()
    assert torch.equal(logits_NV[kept], before[kept])
    return [set(row.nonzero()[:, 0].tolist()) for row in kept]


EVERYTHING = set(range(SIZE))


def test_pad_and_sos_are_never_allowed() -> None:
    vocabulary = WordVocabulary([f"▁{i}" for i in range(SIZE - 4)])
    assert allowed(NeverSpecial(vocabulary), [[4], [5]]) == [EVERYTHING - {vocabulary.pad, vocabulary.sos}] * 2


def test_only_the_end_is_left_at_the_limit() -> None:
    rule = EndAtLimit(torch.tensor([2, 4, 3]), EOS)
    assert allowed(rule, [[], []], [0, 1]) == [EVERYTHING, EVERYTHING]
    assert allowed(rule, [[5], [5], [6]], [1, 0, 2]) == [EVERYTHING, {EOS}, EVERYTHING]
    assert allowed(rule, [[5, 5], [6, 6]], [1, 2]) == [EVERYTHING, {EOS}]


def test_a_prefix_is_said_first_and_then_nothing_is_forced() -> None:
    rule = ForcedPrefix([[5, 6], [], [7]])
    assert allowed(rule, [[], [], [], []], [0, 1, 2, 0]) == [{5}, EVERYTHING, {7}, {5}]
    assert allowed(rule, [[5], [8], [7]]) == [{6}, EVERYTHING, EVERYTHING]
    assert allowed(rule, [[5, 6], [8, 8], [7, 7]]) == [EVERYTHING] * 3


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_comes_twice(size: int) -> None:
    draw = random.Random(size)
    for length in range(8):
        hypotheses = [draw.choices(range(4, 7), k=length) for _ in range(20)]
        expected = []
        for hypothesis in hypotheses:
            seen = {tuple(hypothesis[i : i + size]) for i in range(length - size + 1)}
            beginning = hypothesis[length - size + 1 :]
            expected.append({piece for piece in EVERYTHING if (*beginning, piece) not in seen or length < size})
        assert allowed(NoRepeatedNgram(size), hypotheses) == expected


def test_a_forbidden_phrase_is_stopped_at_its_last_piece() -> None:
    rule = NeverPhrases([[5, 6], [8], [5, 6, 7, 4]])
    hypotheses = [[5, 6, 7], [6, 7, 5], [4, 4, 4]]
    assert allowed(rule, hypotheses) == [EVERYTHING - {8, 4}, EVERYTHING - {8, 6}, EVERYTHING - {8}]
    assert allowed(rule, [[5]]) == [EVERYTHING - {8, 6}]
    assert allowed(rule, [[]]) == [EVERYTHING - {8}]
