"""Attributions against finite differences, the formulas by hand, and direct computation."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from small_systems import WORDS, small_model
from torch import Tensor
from torch.nn import functional as F

from nmt.alignment.link_options import AttributionMethod
from nmt.core.errors import UserError
from nmt.data.batch import make_batch
from nmt.decoding.forced import force_all
from nmt.extensions.lecture.attribution import attribute, attribution_shares
from nmt.models.seq2seq import Seq2Seq

SOURCE, TARGET = [5, 9, 7, 5], [8, 6]
SYSTEMS = ["transformer", "bahdanau", "luong", "recurrent"]


def make(system: str) -> Seq2Seq:
    """An untrained model that shares its embeddings, so that those of the target could be mistaken for the source's."""
    sizes: dict[str, Any] = {"hidden_size": 6}
    if system == "transformer":
        sizes = {"num_layers": 2, "num_heads": 2, "feed_forward_size": 8, "activation": "gelu"}
    attention = {"luong": {"attention": "general"}, "bahdanau": {"attention": {"type": "additive", "size": 5}}}
    encoder = {"type": "transformer" if system == "transformer" else "recurrent", **sizes}
    decoder = {"type": system, **sizes, **attention.get(system, {})}
    return small_model(encoder, decoder, seed=1, embedding_size=8, tie="all")


def log_p(model: Any, scale_S: Tensor, source: Any = SOURCE) -> Tensor:
    """Log-probabilities of the target where the embedding of each source token is multiplied by a factor. [T]"""
    batch = make_batch([(source, TARGET)], WORDS)
    hook = model.encoder.embedding.register_forward_hook(lambda module, arguments, x_BSD: x_BSD * scale_S[:, None])
    with torch.inference_mode():
        encoded = model.encode(batch.source_BS, batch.source_length_B)
        hook.remove()
        features_TD = model.decoder.unroll(batch.target_input_BT, encoded).features_BTD[0]
        log_p_TV = model.decoder.output(features_TD).log_softmax(-1)
        return log_p_TV.gather(1, batch.target_output_BT[0][:, None])[:, 0]


@pytest.mark.parametrize("system", SYSTEMS)
def test_input_x_gradient_is_the_derivative_by_the_size_of_an_embedding(system: str) -> None:
    model, step = make(system).double(), 1e-4
    found_TS = attribute(model, WORDS, SOURCE, TARGET, "input_x_gradient")
    assert found_TS.shape == (len(TARGET) + 1, len(SOURCE) + 1)
    for s in range(found_TS.shape[1]):
        change_S = torch.zeros(found_TS.shape[1], dtype=torch.double)
        change_S[s] = step
        expected_T = (log_p(model, 1 + change_S) - log_p(model, 1 - change_S)) / (2 * step)
        np.testing.assert_allclose(found_TS[:, s], expected_T, atol=1e-6)


@pytest.mark.quick("luong")
@pytest.mark.parametrize("system", SYSTEMS)
def test_integrated_gradients_sum_to_the_difference_from_the_baseline(system: str) -> None:
    model, ones_S = make(system), torch.ones(len(SOURCE) + 1)
    found_TS = attribute(model, WORDS, SOURCE, TARGET, "integrated_gradients")
    difference_T = log_p(model, ones_S) - log_p(model, 0 * ones_S)
    assert difference_T.abs().max() > 1e-3
    np.testing.assert_allclose(found_TS.sum(1), difference_T, atol=2e-4)


@pytest.mark.parametrize("system", SYSTEMS)
def test_leave_one_out_is_what_the_target_loses_without_the_token(system: str) -> None:
    model = make(system).double()  # but for the log-softmax of what is found, whose values of about 3 have 7 digits
    found_TS = attribute(model, WORDS, SOURCE, TARGET, "leave_one_out")
    for s in range(len(SOURCE)):
        without = [token for place, token in enumerate(SOURCE) if place != s]
        expected_T = log_p(model, torch.ones(len(SOURCE) + 1)) - log_p(model, torch.ones(len(SOURCE)), without)
        np.testing.assert_allclose(found_TS[:, s], expected_T, atol=1e-6)
    assert found_TS[:, :-1].abs().min() > 0
    assert not found_TS[:, -1].any()  # EOS stays


@pytest.mark.parametrize("system", ["transformer", "bahdanau", "luong"])
def test_value_zeroing_is_the_change_of_a_step_whose_memory_has_a_zero(system: str) -> None:
    model = make(system)
    found_TS = attribute(model, WORDS, SOURCE, TARGET, "value_zeroing")
    batch = make_batch([(SOURCE, TARGET)], WORDS)
    with torch.inference_mode():
        state: Any = model.start(batch.source_BS, batch.source_length_B)
        for t in range(len(TARGET) + 1):
            token_11 = batch.target_input_BT[:, t : t + 1]
            plain, after = model.decoder.advance(token_11, state)
            for s in range(len(SOURCE) + 1):
                kept_S = (torch.arange(len(SOURCE) + 1) != s).float()
                memory = state.memory
                if system == "transformer":
                    keys = tuple((keys, values * kept_S[:, None]) for keys, values in memory.keys)
                    memory = replace(memory, keys=keys)
                else:
                    memory = replace(memory, values_BSD=memory.values_BSD * kept_S[:, None])
                zeroed, _ = model.decoder.advance(token_11, replace(state, memory=memory))
                similarity = F.cosine_similarity(zeroed.features_BTD[0], plain.features_BTD[0])
                assert float(found_TS[t, s]) == pytest.approx(1 - float(similarity), abs=1e-6)
            state = after
    assert found_TS.max() > 1e-3


@pytest.mark.parametrize("method", get_args(AttributionMethod))
def test_shares_are_of_what_makes_a_token_more_probable(method: AttributionMethod) -> None:
    model = make("bahdanau")
    before = force_all(model, [(SOURCE, TARGET)], WORDS, 1)[0].log_probability_T
    with torch.inference_mode():
        found_TS = attribute(model, WORDS, SOURCE, TARGET, method)
        shares_TS = attribution_shares(model, WORDS, SOURCE, TARGET, method)
    for row, shares in zip(found_TS.tolist(), shares_TS.tolist(), strict=True):
        total = sum(value for value in row if value > 0)
        assert shares == pytest.approx([max(value, 0) / total if total else 0 for value in row], abs=1e-5)
    after = force_all(model, [(SOURCE, TARGET)], WORDS, 1)[0].log_probability_T
    assert torch.equal(before, after)  # no hook is left on the model


def test_without_attention_there_are_no_values_to_zero() -> None:
    with pytest.raises(UserError, match="no attention whose values"):
        attribute(make("recurrent"), WORDS, SOURCE, TARGET, "value_zeroing")
