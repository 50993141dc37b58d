"""Several models as one: the mean of probabilities, for different architectures."""

from collections.abc import Callable

import pytest
import torch
from searches import search_all
from small_systems import WORDS

from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions
from nmt.translation.load import Ensemble

SOURCES = [[4, 9, 7], [5], [8, 8, 11, 10, 6]]
OPTIONS = DecodingOptions(beam_size=3, max_length_ratio=1.0, max_length_extra=3, length_penalty="none")


@pytest.fixture
def models(make_system: Callable[[str], Seq2Seq]) -> list[Seq2Seq]:
    return [make_system(name) for name in ("transformer", "bahdanau", "vanilla", "luong")]


@torch.no_grad()
def test_probabilities_are_averaged_at_each_step(models: list[Seq2Seq]) -> None:
    for source, hypotheses in zip(SOURCES, search_all(Ensemble(models), SOURCES, WORDS, OPTIONS), strict=True):
        source_BS, length_B = torch.tensor([[*source, WORDS.source.eos]]), torch.tensor([len(source) + 1])
        assert hypotheses
        for hypothesis in hypotheses:
            target_BT = torch.tensor([[WORDS.target.sos, *hypothesis.ids]])
            p_MTV = torch.stack(
                [m.decoder.output(m(source_BS, length_B, target_BT).features_BTD)[0].softmax(-1) for m in models]
            )
            said = [*hypothesis.ids, WORDS.target.eos]
            expected = float(p_MTV.mean(0)[range(len(said)), said].log().sum())
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-4)


def test_coverage_is_that_of_the_models_with_attention(models: list[Seq2Seq]) -> None:
    """Two steps can't look at all of six words once."""
    covered = OPTIONS.model_copy(update={"coverage_penalty": 0.5, "max_length": 1})
    hypotheses = search_all(Ensemble(models), SOURCES, WORDS, covered)[2]
    assert hypotheses
    for hypothesis in hypotheses:
        assert hypothesis.score < hypothesis.log_probability - 0.5
