"""Optimizers: those of nmt, and those of other packages."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import Field
from torch import nn

import nmt
from nmt.core.errors import UserError
from nmt.models.weights import read_tensors
from nmt.recipe import options, registry
from nmt.recipe.load import load_recipe
from nmt.training.optimization import Optimizer
from nmt.training.resolve import resolve


class Momentum(Optimizer):
    """Gradient descent with momentum."""

    class Options(options.Options):
        momentum: float = Field(0.9, ge=0, lt=1)

    def make(self, parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=self.options.momentum)


@pytest.fixture
def momentum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", list(registry._added))
    nmt.add_component("momentum", Momentum)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_weight_decay_is_part_of_the_gradient_in_adam_alone(kind: str) -> None:
    """Two updates by the equations of Kingma & Ba 2015, algorithm 1, and Loshchilov & Hutter 2019, algorithm 2."""
    rate, decay, (b1, b2), eps = 0.1, 0.3, (0.8, 0.9), 1e-3
    chosen = {"type": kind, "betas": [b1, b2], "eps": eps, "weight_decay": decay}
    weight, frozen = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.ones(1), requires_grad=False)
    training = {"max_steps": 1, "learning_rate": rate, "optimizer": chosen}
    made = resolve("multi30k/luong", {f"training.{key}": each for key, each in training.items()}).make_optimizer(
        [weight, frozen]
    )
    expected, mean, square = 2.0, 0.0, 0.0
    for update, gradient in enumerate((0.5, -1.5), start=1):
        weight.grad = torch.tensor([gradient])
        made.step()
        g = gradient + (decay * expected if kind == "adam" else 0.0)
        mean, square = b1 * mean + (1 - b1) * g, b2 * square + (1 - b2) * g * g
        expected -= rate * decay * expected if kind == "adamw" else 0.0
        expected -= rate * (mean / (1 - b1**update)) / ((square / (1 - b2**update)) ** 0.5 + eps)
        assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert [id(p) for group in made.param_groups for p in group["params"]] == [id(weight)]  # not the frozen one


def test_a_name_stands_for_an_optimizer_with_its_defaults() -> None:
    def resolved(**changes: Any) -> dict[str, Any]:
        return resolve(
            "quickstart", {f"training.{key}": value for key, value in changes.items()}
        ).recipe.training.optimizer

    named = {"type": "adamw", "betas": [0.9, 0.98], "eps": 1e-9, "weight_decay": 0}
    assert resolved(optimizer="adamw") == named
    assert resolved()["type"] == "adam"
    assert resolved(optimizer={"weight_decay": 0.1}) == {**named, "type": "adam", "weight_decay": 0.1}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("sgd", "there is no optimizer 'sgd'"),
        ({"betas": [0.9, "x"]}, "'betas.1' is 'x'.*valid number"),
        ({"type": "adam", "momentum": 0.5}, "unknown key 'momentum'"),
    ],
)
def test_wrong_options_are_refused_before_training(
    tiny_recipe: Path, tmp_path: Path, setting: object, problem: str
) -> None:
    with pytest.raises(UserError, match=f"training.optimizer.*{problem}"):
        nmt.train(tiny_recipe, tmp_path / "run", overrides={"training.optimizer": setting})
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.usefixtures("momentum")
def test_an_outside_optimizer_trains_and_resumes_exactly(tiny_recipe: Path, tmp_path: Path) -> None:
    chosen = {"training.optimizer": {"type": "momentum", "momentum": 0.8}, "training.metric": "loss"}
    chosen |= {"training.schedule": {"type": "constant", "warmup_steps": 1}, "training.checkpoint_every": 1}
    nmt.train(tiny_recipe, tmp_path / "whole", overrides=chosen | {"training.max_steps": 4})
    nmt.train(tiny_recipe, tmp_path / "cut", overrides=chosen | {"training.max_steps": 2})
    nmt.train(tiny_recipe, tmp_path / "cut", overrides=chosen | {"training.max_steps": 4}, resume=True)
    whole, cut = (read_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    recipe = load_recipe(tmp_path / "cut" / "recipe.yaml")
    assert recipe.training.optimizer == {"type": "momentum", "momentum": 0.8}
