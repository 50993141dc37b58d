"""The numbers of a cell against the equation that the page shows."""

from typing import Any

import numpy as np
import pytest
import torch

from nmt.extensions.lecture.cell_numbers import cell_numbers
from nmt.models.cells import CELLS
from tests.extensions.lecture.test_attention_numbers import RNN, TRANSFORMER, check_place, recorded


def numbers_of(decoder: dict[str, Any]) -> Any:
    with torch.inference_mode():
        return cell_numbers(recorded(RNN, RNN | decoder)[0], 3)


ATTENTIONAL = {"type": "bahdanau", "attention": {"type": "additive"}}


@pytest.mark.parametrize("decoder", [{"type": "recurrent"}, {"type": "luong", "num_layers": 2}, ATTENTIONAL])
@pytest.mark.parametrize("cell", ["lstm", "gru", "coupled", "gru_reset_before"])
def test_a_state_follows_from_the_gates_and_the_state_before(decoder: dict[str, Any], cell: str) -> None:
    numbers = numbers_of({**decoder, "cell": cell})
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
@pytest.mark.parametrize("cell", [cell for cell in ("rnn_tanh", "peephole", "depth_gated") if cell in CELLS])
def test_without_named_gates_there_are_no_numbers(decoder: dict[str, Any], cell: str) -> None:
    assert numbers_of({**decoder, "cell": cell, "num_layers": 2}) is None


def test_a_decoder_without_a_cell_has_no_numbers_of_one() -> None:
    assert cell_numbers(recorded(TRANSFORMER, TRANSFORMER)[0], 3) is None
