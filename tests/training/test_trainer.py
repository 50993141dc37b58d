"""The training loop: the same seed gives the same run, whole or in parts, and trouble loses nothing."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker
from r_drop import RDrop  # of examples/
from run_files import assert_same_run, read_checkpoint, read_metrics
from small_memory import give_loss_twice, make_trainer
from torch import Tensor

import nmt
from nmt.core.errors import UserError
from nmt.models.build import ENCODERS
from nmt.models.weights import weights_of
from nmt.training import objective as objective_module
from nmt.training.run import train
from nmt.training.state import load_random, random_tensors
from nmt.training.trainer import MAX_SKIPPED, Trainer
from nmt.training.validation import Validator


def test_a_checkpoint_keeps_the_random_numbers_of_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    device, states = torch.device("mps"), [torch.zeros(3, dtype=torch.uint8)]
    monkeypatch.setattr("torch.mps.get_rng_state", lambda device: states[0])
    monkeypatch.setattr("torch.mps.set_rng_state", lambda state, device: states.append(state))
    load_random(random_tensors(device), device)
    assert states[1] is states[0]


def assert_identical(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.quick("mid-epoch-bahdanau")
@pytest.mark.parametrize("system", ["bahdanau", "transformer"])
@pytest.mark.parametrize("stop", [3, 7, 8], ids=["mid-epoch", "end of an epoch", "second epoch"])
def test_a_run_in_two_parts_is_the_run_in_one(make_recipe: RecipeMaker, tmp_path: Path, system: str, stop: int) -> None:
    """Weights, moments, average, random states, place in the data: bit for bit, with dropout."""
    options: dict[str, Any] = {"dropout": 0.3, "ema": 0.99, "keep_last": 9, "validate_every": 4, "log_every": 1}
    train(make_recipe(system, max_steps=10, **options), tmp_path / "one")
    train(make_recipe(system, max_steps=stop, **options), tmp_path / "two")
    train(make_recipe(system, max_steps=10, **options), tmp_path / "two", resume=True)
    _, _, state = read_checkpoint(tmp_path / "two", stop)
    assert (state["batches"]["epoch"], state["batches"]["position"]) == (stop // 7, stop % 7)
    assert_same_run(tmp_path / "one", tmp_path / "two", 10)
    _, tensors, _ = read_checkpoint(tmp_path / "two", 10)
    assert {name.partition("/")[0] for name in tensors} == {"optimizer", "random-0", "average"}


@pytest.mark.parametrize(
    "system",
    ["transformer", *({"universal_transformer"} & ENCODERS.keys())],  # the latter has a loss of its own
)
def test_r_drop_without_dropout_is_plain_training(make_recipe: RecipeMaker, tmp_path: Path, system: str) -> None:
    nmt.add_component("r_drop", RDrop)
    gradients = []
    for techniques in ({}, {"r_drop": {"weight": 5.0}}):
        recipe = make_recipe(system, max_steps=1, techniques=techniques, clip_norm=None)
        trainer, _ = make_trainer(recipe, tmp_path)
        gradients.append(_gradients_of_step(trainer, iter(trainer.batches)))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_gradients_are_scaled_down_to_the_norm_and_keep_their_direction(
    make_recipe: RecipeMaker, tmp_path: Path
) -> None:
    norms, directions = [], []
    for clip_norm in (None, 0.01, 1e6):
        trainer, _ = make_trainer(make_recipe(max_steps=1, clip_norm=clip_norm), tmp_path)
        gradients = torch.cat([g.flatten() for g in _gradients_of_step(trainer, iter(trainer.batches)).values()])
        norms.append(gradients.norm().item())
        directions.append(gradients / gradients.norm())
    assert norms[0] > 0.1
    assert norms == pytest.approx([norms[0], 0.01, norms[0]], rel=1e-3)
    torch.testing.assert_close(directions[1], directions[0], rtol=1e-3, atol=1e-6)


def _gradients_of_step(trainer: Trainer, batches: Iterator[Any]) -> dict[str, Tensor]:
    """What the optimizer gets to see in one update."""
    seen: dict[str, Tensor] = {}

    def record(*_: Any) -> None:
        seen.update({name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None})

    trainer.optimizer.register_step_pre_hook(record)
    trainer.train_step(batches)
    return seen


def test_the_moving_average_follows_its_formula(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    trainer, _ = make_trainer(make_recipe(max_steps=9, ema=0.3), tmp_path)
    expected = {name: weight.clone() for name, weight in weights_of(trainer.model).items()}
    batches = iter(trainer.batches)
    for step in range(1, 5):
        trainer.train_step(batches)
        decay = min(0.3, (1 + step) / (10 + step))  # 2/11, 3/12, then 0.3
        for name, weight in weights_of(trainer.model).items():
            expected[name] = decay * expected[name] + (1 - decay) * weight
    torch.testing.assert_close(trainer.average.weights, expected)
    before = {name: weight.clone() for name, weight in weights_of(trainer.model).items()}
    with trainer.average.in_model():
        assert_identical(dict(weights_of(trainer.model)), trainer.average.weights)
    assert_identical(dict(weights_of(trainer.model)), before)


@pytest.mark.quick("transformer-fp16")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("system", ["vanilla", "bahdanau", "luong with feeding", "transformer"])
def test_low_precision_learns_about_the_same(
    make_recipe: RecipeMaker, tmp_path: Path, system: str, precision: str
) -> None:
    losses = []
    for name in ("fp32", precision):
        train(make_recipe(system, max_steps=12, log_every=12, precision=name), tmp_path / name)
        losses.append(read_metrics(tmp_path / name, "valid")[-1]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def spoil_loss(monkeypatch: pytest.MonkeyPatch, calls: range) -> None:
    """Make the loss NaN in some calls, counted from 1."""
    real, count = objective_module.token_loss, iter(range(1, 1000))

    def spoilt(*args: Any) -> Any:
        losses = real(*args)
        factor = float("nan") if next(count) in calls else 1.0
        return replace(losses, smoothed=losses.smoothed * factor, nll=losses.nll * factor)

    monkeypatch.setattr(objective_module, "token_loss", spoilt)


def test_an_update_that_is_not_finite_is_left_out(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_loss(monkeypatch, range(2, 4))
    give_loss_twice(monkeypatch)
    trainer, _ = make_trainer(make_recipe(max_steps=9, ema=0.9), tmp_path)
    batches, weights = iter(trainer.batches), []
    for _ in range(4):
        trainer.train_step(batches)
        weights.append({name: weight.clone() for name, weight in weights_of(trainer.model).items()})
    assert_identical(weights[0], weights[2])
    assert all(tensor.isfinite().all() for tensor in weights[3].values())
    assert any(not torch.equal(weights[2][name], weights[3][name]) for name in weights[2])
    assert trainer.progress.step == 4
    assert trainer.progress.skipped_in_a_row == 0
    assert trainer.meter.extra["same"] == pytest.approx(trainer.meter.nll)


def test_a_loss_that_stays_non_finite_ends_the_run_and_the_checkpoint_is_good(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"max_steps": 16, "checkpoint_every": 1, "validate_every": 16}
    spoil_loss(monkeypatch, range(5, 999))
    message = rf"not finite in {MAX_SKIPPED + 1} updates in a row.*nan at update 15.*\n.*Lower training\.learning_rate"
    with pytest.raises(UserError, match=message):
        train(make_recipe(**options), tmp_path)
    skipped = [(line["step"], line["loss"]) for line in read_metrics(tmp_path, "skip")]
    assert skipped == [(step, None) for step in range(5, 16)], "JSON has no NaN"
    assert "the loss of update 5 is not finite: the update is left out" in " ".join(capsys.readouterr().err.split())
    monkeypatch.undo()
    spoil_loss(monkeypatch, range(1, 4))  # a resumed run has its patience again
    weights, _, state = read_checkpoint(tmp_path, 14)
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert state["progress"]["skipped_in_a_row"] == MAX_SKIPPED
    train(make_recipe(**options), tmp_path, resume=True)
    weights, _, state = read_checkpoint(tmp_path, 16)
    assert state["progress"]["step"] == 16
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.slow
def test_float16_finds_its_scale_by_real_overflows_even_across_a_resume(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=2.0**30))
    options = {"dropout": 0.1, "precision": "fp16", "log_every": 1, "validate_every": 99, "learning_rate": 0.02}
    one, two = tmp_path / "one", tmp_path / "two"
    train(make_recipe("transformer", max_steps=60, **options), one)
    skips = read_metrics(one, "skip")
    assert 3 < len(skips) < 3 * MAX_SKIPPED
    assert [line["scale"] for line in skips] == [2.0 ** (30 - n) for n in range(len(skips))]
    assert all(line["gradient_norm"] is None for line in skips), "infinity in the gradient, none in the loss"
    assert all(line["loss"] > 0 for line in skips)
    losses = {line["step"]: line["loss"] for line in read_metrics(one, "train")}
    assert [step for step, loss in losses.items() if loss is None] == [line["step"] for line in skips]
    learnt = [loss for loss in losses.values() if loss is not None]
    assert learnt[-1] < 0.7 * learnt[0]
    assert "Warning" not in capsys.readouterr().err, "overflowing is how the scale is found"
    for max_steps in (3, 60):
        train(make_recipe("transformer", max_steps=max_steps, **options), two, resume=max_steps == 60)
    assert_same_run(one, two, 60)


def test_degenerate_translations_are_logged_and_warned_of_where_the_loss_is_low(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    losses = iter([4.0, 1.0])
    monkeypatch.setattr(Validator, "_translate", lambda self, *given: ["the " * 9] * 4 + ["one good sentence"] * 4)
    monkeypatch.setattr(Validator, "_loss", lambda self, *given: (next(losses), 1))
    train(make_recipe(max_steps=4, validate_every=2, schedule={"warmup_steps": 0}, metric="bleu"), tmp_path)
    assert [line["degenerate"] for line in read_metrics(tmp_path, "valid")] == [0.5, 0.5]
    first, _, second = capfd.readouterr().err.partition("step 4: validation")
    assert "look degenerate" not in first
    assert "4 of 8 translations (50.0%) look degenerate: 4 repeat themselves" in second
