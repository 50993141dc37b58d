"""Optimizers: those of nmt, and those of other packages."""

from pathlib import Path
from typing import Any

import pytest
import torch
from saved_weights import changed, weights
from torch import Tensor, nn

import nmt
from nmt.core.errors import UserError
from nmt.models.weights import read_tensors
from nmt.training.graphs import DeviceUpdate, constant_scaler
from nmt.training.optimization import make_optimizer
from nmt.training.resolve import resolve


def made(kind: dict[str, Any], matrices: tuple[str, ...] = (), **parameters: nn.Parameter) -> torch.optim.Optimizer:
    changes = {"max_steps": 1, "learning_rate": 0.1, "optimizer": kind}
    recipe = resolve("systems/lstm", {f"training.{key}": value for key, value in changes.items()})
    return make_optimizer(recipe.training, parameters, matrices)


@pytest.mark.parametrize("kind", ["adam", "adamw", "muon"])
def test_weight_decay_is_part_of_the_gradient_in_adam_alone(kind: str) -> None:
    """Two updates by the equations of Kingma & Ba 2015, algorithm 1, and Loshchilov & Hutter 2019, algorithm 2."""
    rate, decay, (b1, b2), eps = 0.1, 0.3, (0.8, 0.9), 1e-3
    chosen = {"type": kind, "betas": [b1, b2], "eps": eps, "weight_decay": decay}
    weight, frozen = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.ones(1), requires_grad=False)
    optimizer = made(chosen, weight=weight, frozen=frozen)
    expected, mean, square = 2.0, 0.0, 0.0
    for update, gradient in enumerate((0.5, -1.5), start=1):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        g = gradient + (decay * expected if kind == "adam" else 0.0)
        mean, square = b1 * mean + (1 - b1) * g, b2 * square + (1 - b2) * g * g
        expected -= rate * decay * expected if kind != "adam" else 0.0
        expected -= rate * (mean / (1 - b1**update)) / ((square / (1 - b2**update)) ** 0.5 + eps)
        assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert [id(p) for group in optimizer.param_groups for p in group["params"]] == [id(weight)]  # not the frozen one


def five_steps(values: Tensor) -> Tensor:
    """The singular values of a matrix after five steps of Jordan's Newton-Schulz iteration."""
    x = values / values.norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    return x


@pytest.mark.parametrize("shape", [(48, 48), (24, 60), (60, 24)])
def test_muon_gives_a_matrix_an_update_of_equal_size_in_all_directions(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    weight = nn.Parameter(torch.ones(shape))
    optimizer = made({"type": "muon", "update_rms": 0.3, "weight_decay": 0.5}, ("weight",), weight=weight)
    values = torch.linspace(0.1, 1, min(shape))
    weight.grad = u * values @ v
    optimizer.step()
    change = (1 - 0.1 * 0.5) * torch.ones(shape) - weight.detach()
    along = (u.mT @ change @ v.mT) / (0.1 * 0.3 * max(shape) ** 0.5)  # 1 on the diagonal, if it were exact
    assert torch.all((along.diagonal() > 0.6) & (along.diagonal() < 1.3))
    torch.testing.assert_close(along.diagonal(), five_steps(values), atol=0.03, rtol=0)  # bfloat16 where it is fast
    assert (along - along.diagonal().diag()).abs().max() < 0.1
    assert change.square().mean().sqrt().item() == pytest.approx(0.1 * 0.3, rel=0.2)


def test_muon_keeps_a_mean_of_the_gradients_and_looks_ahead() -> None:
    """Gradients of rank one, whose sum has two directions: the updates of Jordan's algorithm with Nesterov momentum."""
    first, second = torch.zeros(2, 4, 4)
    first[0, 0], second[1, 1] = 1.0, 1.0
    weight = nn.Parameter(torch.zeros(4, 4))
    optimizer = made({"type": "muon", "momentum": 0.8, "update_rms": 1.0}, ("weight",), weight=weight)
    for gradient in (first, second):
        before, weight.grad = weight.detach().clone(), gradient.clone()
        optimizer.step()
    change = (before - weight.detach()) / (0.1 * 4**0.5)
    mean = optimizer.state[weight]["momentum"].diagonal()
    torch.testing.assert_close(mean, torch.tensor([0.2 * 0.8, 0.2, 0, 0]))
    ahead = 0.8 * mean + 0.2 * second.diagonal()
    torch.testing.assert_close(change, five_steps(ahead).diag(), atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_an_update_whose_gradient_is_not_finite_changes_nothing(kind: str) -> None:
    weight, vector = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4))
    optimizer = made({"type": kind}, ("weight",), weight=weight, vector=vector)
    scaler = constant_scaler(torch.device("cpu"))
    scaler.scale(torch.ones(()))  # makes its state
    change = DeviceUpdate(optimizer, scaler, [weight, vector], 1.0, None)
    former = []
    for gradient in (0.5, float("nan"), 0.5):
        weight.grad, vector.grad = torch.full((4, 4), gradient), torch.full((4,), gradient)
        change.apply(0.1)
        former.append((weight.detach().clone(), vector.detach().clone()))
    first, second, third = former
    for part in range(2):
        assert torch.isfinite(first[part]).all()
        assert torch.equal(first[part], second[part])
        assert (third[part] < second[part]).all()


@pytest.mark.parametrize(
    ("shape", "block_size", "size"), [((48, 16), None, 16), ((256, 384), 128, 128), ((480, 160), 128, 160)]
)
def test_the_blocks_of_a_matrix_get_the_updates_of_each_by_itself(
    shape: tuple[int, int], block_size: int | None, size: int
) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    whole, alone = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(size, size))
    whole.grad, alone.grad = gradient, gradient[size : 2 * size, -size:].clone()
    made({"type": "muon", "block_size": block_size}, ("whole", "alone"), whole=whole, alone=alone).step()
    assert torch.allclose(whole[size : 2 * size, -size:], alone, atol=1e-3)


def test_muon_trains_the_matrices_of_layers_and_resumes_exactly(tiny_recipe: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "training.optimizer": "muon", "training.metric": "loss", "training.checkpoint_every": 1,
        "training.schedule": {"type": "constant", "warmup_steps": 1},
    }  # fmt: skip
    for folder, steps, resume in (("whole", 4, False), ("cut", 2, False), ("cut", 4, True)):
        nmt.train(tiny_recipe, tmp_path / folder, overrides=changes | {"training.max_steps": steps}, resume=resume)
    assert not changed(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    (checkpoint,) = (tmp_path / "cut" / "checkpoints").glob("step-000004")
    moments = {name for path in checkpoint.glob("*.safetensors") for name in read_tensors(path)}
    with_momentum = {name.removesuffix("/momentum") for name in moments if name.endswith("/momentum")}
    assert with_momentum
    assert not any("embedding" in name or "output" in name or "bias" in name for name in with_momentum)


@pytest.mark.parametrize("betas", [[0.9, 1.5], [0.9, 1.0], [-0.1, 0.9]], ids=str)
@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_means_that_would_not_decay_are_refused(kind: str, betas: list[float]) -> None:
    with pytest.raises(UserError, match=r"training\.optimizer: 'betas\.[01]' is"):
        made({"type": kind, "betas": betas})
