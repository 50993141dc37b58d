"""Sampling: frequencies against the probabilities they come from, and the same draw whoever else is there."""

from typing import Any

import pytest
import torch
from searches import search_all
from table_model import TableModel
from torch import Tensor

from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.hypotheses import Hypothesis
from nmt.extensions.search.sampling import draw, uniform_numbers
from nmt.recipe.schema import DecodingOptions

WORDS = WordVocabulary(["▁a", "▁b", "▁c"])
A, B, C = 4, 5, 6
EOS = WORDS.eos
FIRST = torch.tensor([0.02, 0.0, 0.08, 0.1, 0.5, 0.25, 0.05])


def letters(source: tuple[int, ...], tokens: tuple[int, ...]) -> list[float]:
    """Logits of letters and an end; what is likely depends on the source's first id."""
    logits = FIRST.log().clamp(min=-30)
    logits[source[0]] += 1.0
    return logits.tolist()


def drawn(sources: list[list[int]], **options: Any) -> list[list[Hypothesis]]:
    settings = DecodingOptions(search="sample", **options)
    return search_all(TableModel(letters), sources, Vocabularies(WORDS, WORDS), settings)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, FIRST),
        ({"temperature": 0.5}, FIRST**2),
        ({"top_k": 3}, FIRST * torch.tensor([0, 0, 0, 1, 1, 1, 0])),
        ({"top_p": 0.001}, FIRST * torch.tensor([0, 0, 0, 0, 1, 0, 0])),
        ({"top_p": 0.4}, FIRST * torch.tensor([0, 0, 0, 0, 1, 0, 0])),
        ({"top_p": 0.6}, FIRST * torch.tensor([0, 0, 0, 0, 1, 1, 0])),
        ({"top_p": 0.8}, FIRST * torch.tensor([0, 0, 0, 1, 1, 1, 0])),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_pieces_come_as_often_as_they_are_likely(options: dict[str, Any], weights: Tensor) -> None:
    uniform = (torch.arange(40_000) + 0.5) / 40_000
    pieces = draw(FIRST.log().repeat(40_000, 1), uniform.double(), DecodingOptions(**options))
    frequencies = torch.bincount(pieces, minlength=len(FIRST)) / 40_000
    torch.testing.assert_close(frequencies, weights / weights.sum(), atol=1e-4, rtol=0)


def test_numbers_next_to_a_limit_give_a_possible_piece() -> None:
    almost_one = torch.tensor([1 - 1e-16], dtype=torch.float64)
    logits = torch.tensor([[0.0, 0.0, float("-inf"), float("-inf")]])
    assert draw(logits, almost_one, DecodingOptions()).item() in {0, 1}
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert draw(logits, torch.ones(1, dtype=torch.float64), DecodingOptions(top_p=0.7)).item() == 1
    numbers = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    exactly = draw(torch.zeros(50, 4), numbers, DecodingOptions(top_p=0.5))
    assert len(exactly.unique()) == 2, "a probability that is reached exactly is enough"


def test_a_sample_depends_on_seed_and_line_alone() -> None:
    sources = [[A, B, C], [B], [C, C], [A]]
    alone = drawn(sources, beam_size=3, batch_size=1)
    assert drawn(sources, beam_size=3, batch_size=4) == alone
    assert [hypotheses[:2] for hypotheses in alone] == drawn(sources, beam_size=2, batch_size=2)
    assert drawn(sources, beam_size=3, seed=2) != alone
    assert drawn(sources[::-1], beam_size=3, batch_size=3) == alone[::-1], "the order of lines doesn't matter"
    assert len({str(hypotheses) for hypotheses in alone}) == len(sources)


def test_scores_are_the_models_own() -> None:
    """Whatever temperature and cut-offs choose: log p is that of the untempered model, PAD and SOS in its sum."""
    [hypotheses] = drawn([[A]], beam_size=20, temperature=0.7, top_k=4, length_penalty="none")
    assert len(hypotheses) == 20
    for hypothesis in hypotheses:
        log_p = torch.tensor(letters((A,), ())).log_softmax(0)
        expected = sum(float(log_p[piece]) for piece in hypothesis.ids)
        assert not {WORDS.pad, WORDS.sos, EOS} & set(hypothesis.ids)
        ended = len(hypothesis.ids) < 2 * 2 + 20
        assert hypothesis.log_probability == pytest.approx(expected + float(log_p[EOS]) * ended, abs=1e-4) or not ended
        assert hypothesis.score == hypothesis.log_probability


def test_sentences_that_differ_by_leading_or_trailing_zeros_have_other_numbers() -> None:
    """NumPy pads short seeds with zeros."""
    numbers = [uniform_numbers(1, sentence, 1, 3) for sentence in ([], [0], [0, 0], [5], [5, 0])]
    assert len({tuple(each.flatten().tolist()) for each in numbers}) == 5


def test_the_numbers_are_uniform_and_a_longer_run_begins_with_the_shorter() -> None:
    numbers = uniform_numbers(3, [7, 1], 200, 50)
    assert numbers.mean().item() == pytest.approx(0.5, abs=0.02)
    assert numbers.var().item() == pytest.approx(1 / 12, abs=0.005)
    assert torch.equal(uniform_numbers(3, [7, 1], 100, 20), numbers[:100, :20])
    assert not torch.equal(uniform_numbers(3, [8, 1], 200, 50), numbers)
    for one, other in ((numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])):  # neighbours don't depend
        assert abs(float(torch.corrcoef(torch.stack((one.flatten(), other.flatten())))[0, 1])) < 0.03
