"""Scheduled sampling: how often the truth is read, and that the decoder's own words follow from what it has read."""

import math
from typing import Any

import pytest
import torch
from small_systems import WORDS, small_model

from nmt.data.batch import make_batch
from nmt.extensions.techniques.scheduled_sampling import ScheduledSampling, mixed_inputs, truth_probability
from nmt.models.build import DECODERS


@pytest.mark.parametrize(
    ("values", "update", "expected"),
    [
        ({"schedule": "constant", "k": 0.75}, 9, 0.75),
        ({"schedule": "exponential", "k": 1}, 9, 1.0),
        ({"schedule": "linear", "k": 0.9, "c": 0.01, "floor": 0.2}, 0, 0.9),
        ({"schedule": "linear", "k": 0.9, "c": 0.01, "floor": 0.2}, 30, 0.6),
        ({"schedule": "linear", "k": 0.9, "c": 0.01, "floor": 0.2}, 500, 0.2),
        ({"schedule": "exponential", "k": 0.99}, 100, 0.99**100),
        ({"schedule": "inverse_sigmoid", "k": 50}, 0, 50 / 51),
        ({"schedule": "inverse_sigmoid", "k": 50}, 200, 50 / (50 + math.exp(4))),
        ({"schedule": "inverse_sigmoid", "k": 50, "floor": 0.1}, 10**7, 0.1),
    ],
)
def test_the_schedules_are_those_of_the_paper(values: dict[str, Any], update: int, expected: float) -> None:
    assert truth_probability(ScheduledSampling.Options(**values), update) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "exponential", "k": 1.5}, "at most 1"),
        ({"schedule": "constant", "k": 0.2, "floor": 0.9}, "floor of at most k"),
        ({"schedule": "constant"}, "needs k"),
        ({"schedule": "exponential"}, "needs k"),
    ],
)
def test_probabilities_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScheduledSampling.Options(**values)


@pytest.mark.parametrize("decoder", sorted(DECODERS.keys() - {"classifier"}))
def test_own_words_are_drawn_after_the_words_read_so_far(decoder: str) -> None:
    """With a very sharp output the draw is the likeliest word; each must follow from all inputs before it."""
    model = small_model({"type": "transformer" if decoder == "transformer" else "recurrent"}, {"type": decoder})
    batch = make_batch([([4, 5, 6], [7, 8, 9, 4, 5]), ([9], [6, 6])], WORDS)
    with torch.no_grad():
        model.decoder.output.weight_VD.mul_(5000)
    torch.manual_seed(11)
    inputs_BT = mixed_inputs(model, batch, 0.4)
    assert torch.equal(inputs_BT[:, 0], batch.target_input_BT[:, 0])
    unrolled = model(batch.source_BS, batch.source_length_B, inputs_BT)
    logits_BTV = model.decoder.output(unrolled.features_BTD)
    logits_BTV[:, :, [WORDS.target.pad, WORDS.target.sos, WORDS.target.eos]] = float("-inf")
    drawn_BT = logits_BTV[:, :-1].gather(2, inputs_BT[:, 1:, None])[:, :, 0]
    assert torch.equal(inputs_BT == WORDS.target.pad, batch.target_input_BT == WORDS.target.pad)
    own = drawn_BT > logits_BTV[:, :-1].amax(2) - 8  # less likely ones are drawn once in thousands of times
    true = inputs_BT[:, 1:] == batch.target_input_BT[:, 1:]
    assert (own | true).all()
    assert (own & ~true).any()


def test_the_truth_is_read_as_often_as_said() -> None:
    model = small_model({"type": "recurrent"}, {"type": "recurrent"}, seed=0)
    many = make_batch([([4], [4] * 40)] * 200, WORDS)
    with torch.no_grad():  # never says 4 of its own accord
        model.decoder.output.bias_V[4] = -1e4
    share = (mixed_inputs(model, many, 0.3)[:, 1:] == 4).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.02)
