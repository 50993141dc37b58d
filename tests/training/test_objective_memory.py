"""Batches that don't fit: split with the same update, named, and avoided by finding the largest that fits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt.core.errors import UserError
from nmt.data.batch import Batch, make_batch
from nmt.models.build import build_model
from nmt.models.weights import read_tensors, weights_of
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, prepare_data
from nmt.training.objective import CPU_BATCH_TOKENS, BatchLoss, Objective, is_out_of_memory, largest, largest_by_trying
from nmt.training.resolve import resolve
from nmt.training.run import train
from nmt.training.state import optimizer_tensors
from nmt.training.trainer import Trainer

RecipeMaker = Callable[..., Recipe]

ERRORS = {
    "GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 8000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "Python": MemoryError(),
}


def size(batch: Batch) -> int:
    return batch.source_BS.numel() + batch.target_output_BT.numel()


@contextmanager
def memory_for(most: int, error: Exception, where: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """While open, a batch of more positions raises in the forward or amid the backward pass; yields all sizes."""
    real, tried = Objective.forward, list[int]()

    def forward(self: Objective, batch: Batch, update: int = 0) -> BatchLoss:
        tried.append(size(batch))
        if size(batch) > most and where == "forward":
            raise error
        loss = real(self, batch, update)
        if size(batch) > most:
            last = self.model.encoder.embedding.weight  # its gradient comes last, when others are there already
            loss.total.register_hook(lambda _: handles.append(last.register_hook(fail)))
        return loss

    def fail(_: Tensor) -> None:
        for handle in handles:
            handle.remove()
        raise error

    handles: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(Objective, "forward", forward)
        yield tried


def make_trainer(recipe: Recipe, directory: Path) -> tuple[Trainer, Data]:
    directory.mkdir()
    torch.manual_seed(1)
    data = prepare_data(recipe)
    assert recipe.training.batch_tokens != "auto"
    objective = Objective(build_model(recipe.model, data.vocabularies), recipe.training, "fp32")
    batches = data.batches(recipe.training.batch_tokens, 1)
    return Trainer(resolve(recipe), objective, batches, None, directory), data


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_an_update_in_parts_is_the_update_at_once(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    recipe = make_recipe("luong", max_steps=1, accumulate=2, batch_tokens=128, label_smoothing=0.1, ema=0.5)
    whole, data = make_trainer(recipe, tmp_path / "whole")
    parts, _ = make_trainer(recipe, tmp_path / "parts")
    pairs = sorted((data.train[0].corpus.pair(i) for i in range(data.num_pairs)), key=lambda pair: len(pair[0]))
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
    assert parts.progress.step == 1


def test_what_did_not_fit_is_named_and_logged(
    make_recipe: RecipeMaker,
    read_metrics: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
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


def test_halves_hold_the_same_pairs_with_no_more_padding_than_needed(make_recipe: RecipeMaker) -> None:
    data = prepare_data(make_recipe(max_steps=1))
    pairs = sorted((data.train[0].corpus.pair(i) for i in range(7)), key=lambda pair: len(pair[0]))
    numbers = [np.array([row]) for row in range(7)]
    halves = make_batch(pairs, data.vocabularies, {"number": numbers}).halves()
    for half, rows in zip(halves, (slice(4), slice(4, 7)), strict=True):
        alone = make_batch(pairs[rows], data.vocabularies)
        assert half.annotations == {"number": numbers[rows]}
        assert half.tensors.keys() == alone.tensors.keys()
        assert all(torch.equal(half.tensors[name], alone.tensors[name]) for name in half.tensors)


# training.batch_tokens: auto


@pytest.mark.parametrize("capacity", [256, 300, 5000, 9999, 65_536])
def test_the_largest_that_fits_is_found_in_few_tries(capacity: int) -> None:
    tried = []

    def fits(number: int) -> bool:
        tried.append(number)
        return number <= capacity

    found = largest(fits, limit=60_000)
    assert found <= min(capacity, 60_000)
    assert found >= min(0.8 * capacity, 60_000)
    assert found < capacity or found in (256, 60_000), "some room is left"
    assert max(tried) <= 60_000
    assert len(tried) < 20


def test_a_model_that_never_fits_is_refused() -> None:
    with pytest.raises(UserError, match="Not even a batch of 256"):
        largest(lambda number: False, limit=60_000)


def test_trying_leaves_weights_and_random_numbers_alone(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, _ = make_trainer(make_recipe(dropout=0.3, max_steps=1), tmp_path / "run")
    before = {name: weight.clone() for name, weight in weights_of(trainer.model).items()}
    state = torch.get_rng_state()
    longest = trainer.batches.longest
    with memory_for(3000, ERRORS["GPU"], "backward", monkeypatch) as tried:
        found = largest_by_trying(trainer.objective, longest, 3, 50_000)
    assert 2000 < size(longest(found)) <= 3000 < max(tried)
    torch.testing.assert_close(weights_of(trainer.model), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_longest_batch_is_the_largest_of_an_epoch(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    trainer, _ = make_trainer(make_recipe(max_steps=1), tmp_path / "run")
    stream = iter(trainer.batches)
    epoch = [next(stream) for _ in range(len(trainer.batches))]
    longest = trainer.batches.longest(64)
    widths = [max(batch.source_BS.shape[1], batch.target_output_BT.shape[1]) for batch in (longest, *epoch)]
    assert widths[0] == max(widths)
    assert len(longest.source_BS) == 64 // widths[0]
    assert len(trainer.batches.longest(10_000).source_BS) == 10_000 // widths[0], "more than there are"


def test_on_the_cpu_auto_is_a_documented_number_and_a_resumed_run_keeps_it(
    make_recipe: RecipeMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_recipe(max_steps=1, batch_tokens="auto"), tmp_path)
    message = " ".join(capsys.readouterr().err.split())
    assert "training.batch_tokens is auto: 4,096 on the CPU, where trying" in message
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.training.batch_tokens == CPU_BATCH_TOKENS
    text = (tmp_path / "recipe.yaml").read_text("utf-8").replace("batch_tokens: 4096", "batch_tokens: 96")
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    train(make_recipe(max_steps=2, batch_tokens="auto"), tmp_path, resume=True)
    assert load_recipe(tmp_path / "recipe.yaml").training.batch_tokens == 96
    assert read_tensors(tmp_path / "model.safetensors")
