"""Batches that don't fit: split with the same update, and named."""

from pathlib import Path

import pytest
import torch
from fixture_types import RecipeMaker
from run_files import read_metrics
from small_memory import ERRORS, give_loss_twice, make_trainer, memory_for, size

from nmt.core.errors import UserError
from nmt.data.batch import make_batch
from nmt.models.weights import weights_of
from nmt.training.objective import is_out_of_memory
from nmt.training.run import train
from nmt.training.state import optimizer_tensors


@pytest.mark.quick("GPU-*", "MPS-forward")
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_an_update_in_parts_is_the_update_at_once(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    give_loss_twice(monkeypatch)
    recipe = make_recipe("luong", max_steps=1, accumulate=2, batch_tokens=128, label_smoothing=0.1, ema=0.5)
    whole, data = make_trainer(recipe, tmp_path / "whole")
    parts, _ = make_trainer(recipe, tmp_path / "parts")
    source, target = data.train[0].corpus.sides
    pairs = sorted(((source[i], target[i]) for i in range(data.num_pairs)), key=lambda pair: len(pair[0]))
    group = [make_batch(pairs[:15], data.vocabularies), make_batch(pairs[15:], data.vocabularies)]
    whole.train_step(iter(group))
    with memory_for(size(group[1]) // 3, error, where, monkeypatch) as tried:
        parts.train_step(iter(group))
    assert max(tried) == size(group[1])
    assert len(tried) > 6
    moments = [optimizer_tensors(trainer.optimizer, trainer.trained) for trainer in (parts, whole)]
    torch.testing.assert_close(*moments, rtol=1e-4, atol=1e-7)  # of the gradient; the step magnifies rounding
    torch.testing.assert_close(weights_of(parts.model), weights_of(whole.model), rtol=1e-3, atol=1e-5)
    assert parts.meter.loss == pytest.approx(whole.meter.loss)
    assert parts.meter.extra["same"] == pytest.approx(parts.meter.nll)
    assert parts.progress.step == 1


def test_what_did_not_fit_is_named_and_logged(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with memory_for(100, ERRORS["GPU"], "forward", monkeypatch):
        train(make_recipe(max_steps=3), tmp_path)
    lines = read_metrics(tmp_path, "out_of_memory")
    assert lines
    first = lines[0]
    message = " ".join(capsys.readouterr().err.split())
    assert (
        f"out of memory in update {first['step']}: {first['sentences']} sentence pairs of up to "
        f"{first['source_length']} source and {first['target_length']} target positions don't fit"
    ) in message
    assert "lower training.batch_tokens" in message


def test_a_single_pair_that_does_not_fit_ends_the_run(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        memory_for(3, ERRORS["CPU"], "forward", monkeypatch),
        pytest.raises(UserError, match=r"(?s)One sentence pair of \d+ source and \d+ target.*data\.max_length"),
    ):
        train(make_recipe(max_steps=3), tmp_path)


def test_other_errors_are_not_taken_for_it(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)")
    assert not is_out_of_memory(error)
    with memory_for(100, error, "forward", monkeypatch), pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(make_recipe(max_steps=3), tmp_path)


def test_the_message_of_the_cpu_allocator_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
