"""The numbers of an attention step and of a cell against the equations that the page shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_systems import WORDS, small_model

import nmt
from nmt.data.batch import make_batch
from nmt.extensions.lecture.numbers import attention_numbers, cell_numbers
from nmt.models.calls import recorded_calls

RNN = {"type": "recurrent", "hidden_size": 6}
TRANSFORMER = {"type": "transformer", "num_layers": 2, "num_heads": 2, "feed_forward_size": 8}


def numbers_of(encoder: dict[str, Any], decoder: dict[str, Any], head: int = 0) -> tuple[Any, Any]:
    """Numbers of a head of an untrained model, and the model."""
    calls, weights_BHTS, model = recorded(encoder, decoder)
    with torch.inference_mode():
        return attention_numbers(calls, model.decoder.heads[head], weights_BHTS[0, head]), model


def recorded(encoder: dict[str, Any], decoder: dict[str, Any]) -> tuple[list[Any], Any, Any]:
    """The calls of the decoder of an untrained model for a pair whose target has 3 tokens, the attention, the model."""
    model = small_model(encoder, decoder, seed=1, embedding_size=8)
    batch = make_batch([([5, 9, 7], [8, 6])], WORDS)
    with torch.inference_mode(), recorded_calls(model.decoder) as calls:
        need_weights = bool(model.decoder.heads)
        output = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights)
    return calls, output.weights_BHTS, model


def check_place(code: Any) -> None:
    """A listing stands in its file where the page says."""
    lines = (Path(nmt.__file__).parents[1] / code["file"]).read_text("utf-8").splitlines()[code["line"] - 1 :]
    text = code["text"].splitlines()
    assert [line.strip() for line in lines[: len(text)]] == [line.strip() for line in text]


def softmax(scores_TS: Any) -> Any:
    exp_TS = np.exp(scores_TS)
    return exp_TS / exp_TS.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("head", [0, 3])
def test_the_numbers_of_a_transformer_are_those_of_its_equation(head: int) -> None:
    numbers, _ = numbers_of(TRANSFORMER, TRANSFORMER, head)
    scores_TS = numbers.values["query"].numpy() @ numbers.values["keys"].numpy().T / np.sqrt(4)
    np.testing.assert_allclose(numbers.values["scores"], scores_TS, atol=1e-5)
    np.testing.assert_allclose(numbers.values["weights"], softmax(scores_TS), atol=1e-5)
    np.testing.assert_allclose(
        numbers.values["context"], softmax(scores_TS) @ numbers.values["values"].numpy(), atol=1e-5
    )
    assert numbers.code == "nmt.models.attention.MultiHeadAttention"
    [code] = numbers.sources
    assert "softmax" in code["text"]
    check_place(code)


@pytest.mark.parametrize("decoder", ["luong", "bahdanau"])
def test_the_numbers_of_a_recurrent_decoder_are_those_of_its_equation(decoder: str) -> None:
    attention = {"luong": "general", "bahdanau": "additive"}[decoder]
    numbers, model = numbers_of(RNN, {**RNN, "type": decoder, "attention": {"type": attention}})
    parts = {name: value.numpy() for name, value in model.decoder.attention.state_dict().items()}
    query_TD, keys_SD = numbers.values["query"].numpy(), numbers.values["keys"].numpy()
    if decoder == "luong":
        scores_TS = query_TD @ parts["key.weight"] @ keys_SD.T
    else:
        query_TA = query_TD @ parts["query.weight"].T + parts["query.bias"]
        scores_TS = np.tanh(query_TA[:, None] + keys_SD @ parts["key.weight"].T) @ parts["score.weight"][0]
    of_scores, of_context = numbers.sources
    assert ("tanh" in of_scores["text"]) == (decoder == "bahdanau")
    assert of_context["text"].startswith("def attend(")
    check_place(of_scores)
    check_place(of_context)
    assert scores_TS.shape == (3, 4)
    np.testing.assert_allclose(numbers.values["scores"], scores_TS, atol=1e-5)
    np.testing.assert_allclose(numbers.values["context"], softmax(scores_TS) @ keys_SD, atol=1e-5)
    assert "score = " in numbers.equation


def cell_of(decoder: dict[str, Any]) -> Any:
    with torch.inference_mode():
        return cell_numbers(recorded(RNN, RNN | decoder)[0], 3)


ATTENTIONAL = {"type": "bahdanau", "attention": {"type": "additive"}}


@pytest.mark.parametrize("decoder", [{"type": "recurrent"}, {"type": "luong", "num_layers": 2}, ATTENTIONAL])
@pytest.mark.parametrize("cell", ["lstm", "gru", "coupled", "gru_reset_before"])
def test_a_state_follows_from_the_gates_and_the_state_before(decoder: dict[str, Any], cell: str) -> None:
    numbers = cell_of({**decoder, "cell": cell})
    value = {name: each.numpy() for name, each in numbers.values.items()}
    assert {each.shape for each in value.values()} == {(3, 6)}
    np.testing.assert_allclose(value["h_{t-1}"][1:], value["h_t"][:-1], atol=1e-6)
    if "C_t" in value:
        written = value.get("i", 1 - value["f"]) * value["C~"]
        np.testing.assert_allclose(value["C_t"], value["f"] * value["C_{t-1}"] + written, atol=1e-6)
        expected = value["o"] * np.tanh(value["C_t"])
    else:
        expected = (1 - value["z"]) * value["h_{t-1}"] + value["z"] * value["h~"]
    np.testing.assert_allclose(value["h_t"], expected, atol=1e-6)
    assert "h_t = " in numbers.equation
    for code in numbers.sources:
        check_place(code)


@pytest.mark.parametrize("decoder", [{"type": "recurrent"}, ATTENTIONAL])
@pytest.mark.parametrize("cell", ["rnn_tanh", "peephole", "depth_gated"])
def test_without_named_gates_there_are_no_numbers(decoder: dict[str, Any], cell: str) -> None:
    assert cell_of({**decoder, "cell": cell, "num_layers": 2}) is None


def test_a_decoder_without_a_cell_has_no_numbers_of_one() -> None:
    assert cell_numbers(recorded(TRANSFORMER, TRANSFORMER)[0], 3) is None
