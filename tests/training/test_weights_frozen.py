"""Frozen parts of a model: what is trained, and what stays."""

import re
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RecipeMaker
from saved_weights import changed, weights
from torch import nn

from nmt.core.errors import UserError
from nmt.training.run import train
from nmt.training.weights import select


@pytest.fixture
def trained(make_recipe: RecipeMaker, tmp_path: Path) -> Path:
    return train(make_recipe("transformer", max_steps=20), tmp_path / "trained")


def test_frozen_parts_keep_their_weights(make_recipe: RecipeMaker, trained: Path, tmp_path: Path) -> None:
    frozen = ["encoder", "decoder.embedding", "feed_forward"]
    tuned = train(make_recipe("transformer", finetune_from=trained, freeze=frozen, max_steps=3), tmp_path / "tuned")
    found = changed(weights(trained), weights(tuned))
    assert found
    assert all(name.startswith(("decoder.layers.", "decoder.norm.")) for name in found - {"decoder.output.bias_V"})
    assert not any(".feed_forward." in name for name in found)


def test_parts_are_selected_by_components_of_their_names() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2), "encoders": nn.Linear(2, 2)})
    assert select(model, ["encoder"], "key") == {"encoder.weight", "encoder.bias"}
    assert select(model, ["encoder*.bias"], "key") == {"encoder.bias", "encoders.bias"}
    model["encoders"].weight = model["encoder"].weight
    assert select(model, ["encoders"], "key") == {"encoder.weight", "encoders.bias"}  # shared


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"freeze": ["encodr"]}, r"training\.freeze: the model has no part 'encodr'\. .*encoder\.layers\.0\.attention"),
        ({"freeze": ["encoder", "decoder"]}, "leaves no weight to train"),
    ],
)
def test_parts_that_are_not_there_are_refused(
    make_recipe: RecipeMaker, tmp_path: Path, training: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        train(make_recipe("transformer", max_steps=1, **training), tmp_path / "run")
    assert re.search(message, f"{caught.value.message} {caught.value.remedy}")
