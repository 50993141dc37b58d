"""The networks of the shipped recipes, at their full width over a tiny vocabulary."""

import pytest
import torch

from nmt.data.batch import Batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import build_model
from nmt.models.cells import CELLS
from nmt.recipe.load import load_recipe, parse_settings, shipped_recipes
from nmt.training.loss import token_loss

CELL_SETTINGS = [[f"model.encoder.cell={cell}", f"model.decoder.cell={cell}"] for cell in CELLS]


@pytest.mark.quick("*cell=lstm*", "*cell=depth_gated*")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        # tests/golden trains every recipe at a smaller width
        *(pytest.param(name, [], marks=pytest.mark.slow) for name in shipped_recipes()),
        *(("quickstart", settings) for settings in CELL_SETTINGS),
    ],
    ids=str,
)
def test_a_recipe_builds_and_takes_a_step(
    name: str, settings: list[str], joint_vocabularies: Vocabularies, batch: Batch
) -> None:
    torch.manual_seed(41)
    recipe = load_recipe(name, parse_settings(settings))
    model = build_model(recipe.model, joint_vocabularies).train()

    def loss() -> torch.Tensor:
        torch.manual_seed(42)  # the same units are dropped
        unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
        found = token_loss(
            unrolled.features_BTD, model.decoder.output, batch.target_output_BT, batch.target_length_B, smoothing=0.0
        )
        return found.smoothed

    before = loss()
    before.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    torch.optim.SGD(trained, lr=1e-3).step()
    assert loss() < before
