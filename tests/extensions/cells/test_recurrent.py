"""Leaky units, delay taps, the clockwork RNN and echo states: their options, and what is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.data.batch import Batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.networks.recurrence import CellStack, StackOptions
from nmt.models.weights import read_tensors
from tests.models.test_build import refused
from tests.models.test_cells_options import BAHDANAU, RECURRENT, radius, stack


@pytest.mark.parametrize("learned", [False, True])
def test_time_constants_of_units_lie_at_equal_ratios(learned: bool) -> None:
    options = {"type": "leaky", "gamma": 1.5, "max_gamma": 48, "learned": learned}
    (cell,) = CellStack(stack(options, size=6), [5]).cells
    (moved,) = cell(torch.full((1, 6), 9.0), (torch.zeros(1, 6),))  # tanh(9) is 1 to 3e-8
    assert (1 / moved[0]).tolist() == pytest.approx([1.5 * 2**unit for unit in range(6)], rel=1e-4)


@pytest.mark.parametrize("init", ["torch", "xavier"])
def test_echo_states_have_a_radius_and_are_not_trained_and_not_counted(
    make_model: Any, batch: Batch, init: str
) -> None:
    cell = {"cell": {"type": "echo_state", "spectral_radius": 0.7}, "num_layers": 2}
    model = make_model({**RECURRENT, **cell}, {**BAHDANAU, **cell}, init=init)
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert len(fixed) == 2 * 2 * 4 + 4 + 3  # kernels' four, two ways, two layers; cells' four and three
    assert all("recurrence" in name or "cells" in name for name in fixed)
    count = sum(parameter.numel() for name, parameter in model.named_parameters() if name not in fixed)
    assert model.num_parameters == count
    for name, parameter in model.named_parameters():
        if name in fixed and ("weight_hh" in name or "hidden_weight" in name):
            assert radius(parameter.detach()) == pytest.approx(0.7, abs=1e-4)
    model.train()
    model(batch.source_BS, batch.source_length_B, batch.target_input_BT).features_BTD.square().sum().backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is None} == fixed | {
        name for name, _ in model.named_parameters() if "output" in name
    }


def test_training_moves_all_but_the_echo_states_and_saves_them(train_tiny: Any) -> None:
    settings = ["model.encoder.cell=echo_state", "model.decoder.cell=echo_state", "training.ema=0.9"]
    settings += ["training.optimizer={type: adamw, weight_decay: 0.1}", "training.validate_every=50"]
    weights: list[dict[str, Tensor]] = []
    for num_steps in (1, 4):
        directory: Path = train_tiny(f"training.max_steps={num_steps}", *settings)
        weights.append(read_tensors(directory / "model.safetensors"))
    before, after = weights
    assert len(before) > 10
    for name, value in before.items():
        fixed = "recurrence.layers" in name or "decoder.cells" in name
        assert torch.equal(value, after[name]) == fixed, name


@pytest.mark.parametrize(
    ("cell", "problem", "remedy"),
    [
        ({"type": "leaky", "gama": 2}, "unknown key 'gama'", "'gamma'"),
        ({"type": "leaky", "gamma": 0.5}, "'gamma' is 0.5: input should be greater than or equal to 1", "'gamma'"),
        ({"type": "leaky", "learned": True, "gamma": 1}, "a gamma of 1 can't be learned", "Change one"),
        ({"type": "leaky", "gamma": 4, "max_gamma": 2}, "max_gamma 2 is less than gamma 4", "Change one"),
        ({"type": "time_skip", "delays": [1]}, "'delays.0' is 1", "delays"),
        ({"type": "echo_state", "spectral_radius": 1.0}, "'spectral_radius' is 1.0", "'spectral_radius'"),
        ({"type": "echo_state", "init": "orthogonal"}, "unknown key 'init'", "input_scale"),
        ({"type": "clockwork", "num_modules": 64}, "less than or equal to 32", "num_modules"),
        ({"type": "clockwork", "num_modules": 5}, "hidden_size 12 is no multiple of 5 modules", "Change"),
    ],
)
def test_wrong_options_are_named(
    joint_vocabularies: Vocabularies, cell: dict[str, Any], problem: str, remedy: str
) -> None:
    refused(joint_vocabularies, {**RECURRENT, "cell": cell}, BAHDANAU, problem, remedy)


def test_the_cells_of_a_new_depth_gated_stack_do_not_grow_from_layer_to_layer() -> None:
    torch.manual_seed(0)
    options = StackOptions.model_validate({"cell": "depth_gated", "hidden_size": 64, "num_layers": 3})
    cells = CellStack(options, [64])
    hidden = cell = torch.zeros(8, 3, 64)
    with torch.no_grad():
        for _ in range(40):
            hidden, cell = cells(cells.project(torch.randn(8, 64)), (hidden, cell))
    low, middle, high = cell.square().mean(dim=(0, 2)).sqrt().tolist()
    assert 0.05 < high < middle < low
