"""Several models as one: the mean of probabilities, for different architectures."""

import pytest
import torch
from searches import search_all

from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.build import build
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions, ModelOptions
from nmt.translation.load import Ensemble

WORDS = WordVocabulary([f"▁w{i}" for i in range(12)])
BOTH = Vocabularies(WORDS, WORDS)
SOURCES = [[4, 9, 7], [5], [8, 8, 11, 10, 6]]
OPTIONS = DecodingOptions(beam_size=3, max_length_ratio=1.0, max_length_extra=3, length_penalty="none")


def made(decoder: str, seed: int) -> Seq2Seq:
    torch.manual_seed(seed)
    size = {"num_heads": 2, "feed_forward_size": 24} if decoder == "transformer" else {"hidden_size": 16}
    encoder = {"type": "transformer" if decoder == "transformer" else "recurrent", **size}
    return build(ModelOptions(encoder=encoder, decoder={"type": decoder, **size}, embedding_size=16), BOTH).eval()


@pytest.fixture(scope="module")
def models() -> list[Seq2Seq]:
    return [made("transformer", 1), made("bahdanau", 2), made("recurrent", 3), made("luong", 4)]


@torch.no_grad()
def test_probabilities_are_averaged_at_each_step(models: list[Seq2Seq]) -> None:
    for source, hypotheses in zip(SOURCES, search_all(Ensemble(models), SOURCES, BOTH, OPTIONS), strict=True):
        source_BS, length_B = torch.tensor([[*source, WORDS.eos]]), torch.tensor([len(source) + 1])
        assert hypotheses
        for hypothesis in hypotheses:
            target_BT = torch.tensor([[WORDS.sos, *hypothesis.ids]])
            p_MTV = torch.stack(
                [m.decoder.output(m(source_BS, length_B, target_BT).features_BTD)[0].softmax(-1) for m in models]
            )
            said = [*hypothesis.ids, WORDS.eos]
            expected = float(p_MTV.mean(0)[range(len(said)), said].log().sum())
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-4)


def test_coverage_is_that_of_the_models_with_attention(models: list[Seq2Seq]) -> None:
    """Two steps can't look at all of six words once."""
    covered = OPTIONS.model_copy(update={"coverage_penalty": 0.5, "max_length": 1})
    hypotheses = search_all(Ensemble(models), SOURCES, BOTH, covered)[2]
    assert hypotheses
    for hypothesis in hypotheses:
        assert hypothesis.score < hypothesis.log_probability - 0.5
