"""A memory that only small batches fit in, and trainers to try it with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.data.batch import Batch
from nmt.models.build import build
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, prepare_data
from nmt.training.objective import BatchLoss, Objective
from nmt.training.resolve import resolve
from nmt.training.trainer import Trainer

ERRORS = {
    "GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 8000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "MPS": RuntimeError("MPS backend out of memory (MPS allocated: 5.56 GB, max allowed: 6.80 GB)."),
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


def give_loss_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes -log p an extra loss, too, which is shown and not trained on."""
    real = Objective.forward
    monkeypatch.setattr(Objective, "forward", lambda *args: replace(loss := real(*args), extra={"same": loss.nll}))


def make_trainer(recipe: Recipe, directory: Path) -> tuple[Trainer, Data]:
    """A trainer without validation, and with the weights of the recipe's seed."""
    directory.mkdir(exist_ok=True)
    torch.manual_seed(recipe.seed)
    resolved = resolve(recipe)
    data = prepare_data(resolved)
    assert recipe.training.batch_tokens != "auto"
    objective = Objective(build(recipe.model, data.vocabularies), recipe.training, "fp32", data.techniques)
    batches = data.batches(recipe.training.batch_tokens, recipe.seed)
    return Trainer(resolved, objective, batches, None, directory), data
