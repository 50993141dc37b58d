"""LoRA: what is trained, what stays, and exact resumes."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker
from saved_weights import changed, weights
from torch import nn

from nmt.core.errors import UserError
from nmt.extensions.lora.factors import Lora
from nmt.models.build import build
from nmt.models.weights import read_tensors
from nmt.recipe.schema import LoraOptions, Recipe
from nmt.training.data import prepare_data
from nmt.training.distributed import ProcessGroup
from nmt.training.objective import Objective
from nmt.training.resolve import resolve
from nmt.training.run import train
from nmt.training.trainer import Trainer
from nmt.translation.load import load


@pytest.fixture
def trained(make_recipe: RecipeMaker, tmp_path: Path) -> Path:
    return train(make_recipe("transformer", max_steps=20), tmp_path / "trained")


def test_updates_are_those_of_factors_in_the_forward_pass() -> None:
    """An independent computation: the factors are in the graph, and PyTorch derives their gradients."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    w0, v0 = (layer.weight.detach().clone() for layer in (model[0], model[2]))  # type: ignore[union-attr, operator]
    lora = Lora(model, LoraOptions(rank=2, alpha=6, layers=["0", "2"]))
    a, b, c, d = (lora.factors[f"{n}"].detach().clone().requires_grad_() for n in
                  ("0.weight.A", "0.weight.B", "2.weight.A", "2.weight.B"))  # fmt: skip
    mine, theirs = torch.optim.Adam(lora.trained.values(), lr=0.1), torch.optim.Adam([a, b, c, d], lr=0.1)
    for _ in range(5):
        for x in torch.randn(2, 7, 6):  # two batches of an update
            model(x).square().mean().backward()
            hidden = torch.tanh(x @ (w0 + 3 * b @ a).T + model[0].bias)  # type: ignore[operator]
            (hidden @ (v0 + 3 * d @ c).T + model[2].bias).square().mean().backward()  # type: ignore[operator]
        assert all(parameter.grad is None for parameter in model.parameters())
        mine.step()
        theirs.step()
        lora.merge()
        mine.zero_grad()
        theirs.zero_grad()
    torch.testing.assert_close(model[0].weight, w0 + 3 * b @ a)
    torch.testing.assert_close(model[2].weight, v0 + 3 * d @ c)
    assert not torch.allclose(model[2].weight, v0, atol=0.01)  # type: ignore[arg-type]


def test_lora_changes_the_chosen_matrices_by_a_matrix_of_low_rank(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lora = {"rank": 2, "layers": ["attention", "feed_forward.inner"], "full": ["decoder.norm"]}
    tuned = train(make_recipe("transformer", finetune_from=trained, lora=lora, max_steps=4), tmp_path / "tuned")
    before, after = weights(trained), weights(tuned)
    found = changed(before, after)
    matrices = {name for name in found if before[name].dim() == 2}
    assert matrices
    assert all("attention." in name or "feed_forward.inner" in name for name in matrices)
    assert found - matrices == {"decoder.norm.weight", "decoder.norm.bias"}
    for name in matrices:
        assert torch.linalg.matrix_rank(after[name] - before[name], atol=1e-5) <= 2
    said = capfd.readouterr().err
    assert f"LoRA of rank 2 in {len(matrices)} matrices" in said
    [(num_trained, num_told)] = re.findall(r": ([\d,]+) of [\d,]+ are trained\n([\d,]+) parameters", said)
    assert num_trained == num_told
    assert load(tuned, "cpu").translate(["eins zwei"])  # a model directory as any other


@pytest.mark.slow
def test_gradients_of_truncation_come_in_autocast(make_recipe: RecipeMaker, trained: Path, tmp_path: Path) -> None:
    lora, techniques = {"rank": 2}, {"truncation": {"length": 3}}
    recipe = make_recipe(
        "transformer", finetune_from=trained, lora=lora, techniques=techniques, precision="bf16", max_steps=1
    )
    train(recipe, tmp_path / "run")


def test_a_run_with_lora_resumes_exactly(make_recipe: RecipeMaker, trained: Path, tmp_path: Path) -> None:
    def recipe(steps: int) -> Recipe:
        lora: dict[str, Any] = {"rank": 3, "full": ["embedding"]}
        return make_recipe("transformer", 0.1, finetune_from=trained, lora=lora, ema=0.9, max_steps=steps)

    whole = train(recipe(6), tmp_path / "whole")
    stopped = train(recipe(3), tmp_path / "stopped")
    shutil.rmtree(trained)
    train(recipe(6), stopped, resume=True)
    for file in ("model.safetensors", "checkpoints/step-000006/weights.safetensors"):
        assert not changed(read_tensors(whole / file), read_tensors(stopped / file))
    with pytest.raises(UserError, match=r"training\.lora\.rank is 4, was 3"):
        train(recipe(9), stopped, overrides={"training.lora.rank": 4}, resume=True)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"lora": {"layers": ["attn"]}}, r"training\.lora\.layers: the model has no part 'attn'"),
        ({"lora": {"full": ["attn"]}}, r"training\.lora\.full: the model has no part 'attn'"),
        ({"lora": {"layers": ["embedding"]}}, "names no trainable weight matrix"),
        ({"lora": {}, "new_vocabulary": True}, r"training\.lora trains no embeddings.*\[embedding, output\]"),
    ],
)
def test_parts_that_are_not_there_are_refused(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path, training: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        train(make_recipe("transformer", finetune_from=trained, max_steps=1, **training), tmp_path / "run")


@pytest.mark.parametrize("key", ["lora", "new_vocabulary"])
def test_a_new_model_is_refused(make_recipe: RecipeMaker, key: str) -> None:
    with pytest.raises(UserError, match=rf"training\.{key} is for a model that is fine-tuned"):
        resolve(make_recipe("transformer", max_steps=1), {f"training.{key}": {"rank": 2} if key == "lora" else True})


def test_several_processes_are_refused(make_recipe: RecipeMaker, trained: Path, tmp_path: Path) -> None:
    resolved = resolve(make_recipe("transformer", finetune_from=trained, lora={}, max_steps=1))
    data = prepare_data(resolved)
    objective = Objective(build(resolved.model, data.vocabularies), resolved.training, "fp32")
    with pytest.raises(UserError, match=r"training\.lora works in one process alone"):
        Trainer(resolved, objective, data.batches(64, 1), None, tmp_path, process_group=ProcessGroup(0, 2))
