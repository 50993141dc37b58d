"""Several processes train one model (Li et al. 2020, DistributedDataParallel): who does what, and how they agree.

``torchrun`` starts the processes, here called ranks, and tells each its number by environment variables. Each has the
same model and takes its own batches; gradients are averaged over the ranks within the backward pass. Rank 0 writes.
Without ``torchrun`` there is one rank, and nothing here communicates.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from nmt.console import be_silent
from nmt.errors import UserError
from nmt.training.checkpointing.state import seed_everything
from nmt.training.interrupts import Interrupted

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others before it takes them for lost; one whose process ends is noticed at once."""

PREPARATION = timedelta(days=2)
"""How long the others wait while one encodes the training text."""

T = TypeVar("T")


class ProcessGroup:
    """The processes of a run, as one of them sees them.

    Args:
        rank: the number of this process.
        size: how many there are.
        local_rank: the number of this process on its machine.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._preparing: Any = None
        self._talking: Any = None

    @classmethod
    @contextmanager
    def joined(cls, device: str) -> Iterator[Self]:
        """This process among those that torchrun has started; the only one without torchrun.

        Raises:
            UserError: a rank has ended, or doesn't answer.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            yield cls()
            return
        ranks = cls(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))
        on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
        if ranks.rank:
            be_silent()
        with _failures_told(ranks.rank):
            dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
            # Numbers and text go by the CPU, beside the gradients, whatever those go by.
            ranks._talking = dist.new_group(backend="gloo", timeout=PATIENCE)
            ranks._preparing = dist.new_group(backend="gloo", timeout=PREPARATION)
            try:
                yield ranks
            except Interrupted:  # agreed on, so nobody is waiting
                dist.destroy_process_group()
                raise
            dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes files and messages."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this rank: each has a GPU of its own."""
        if self.size == 1 or name == "cpu":
            return name
        if name == "auto" and not torch.cuda.is_available():
            return "cpu"
        if name not in ("auto", "cuda"):
            raise UserError(
                f"device is {name!r}, but torchrun gives each process its own.", "Set device to auto, cuda or cpu."
            )
        if self.local_rank >= torch.cuda.device_count():
            raise UserError(
                f"There is no GPU for process {self.local_rank + 1}: this machine has {torch.cuda.device_count()}.",
                "Start as many processes as there are GPUs (--nproc-per-node), or set device to cpu.",
            )
        torch.cuda.set_device(self.local_rank)
        return f"cuda:{self.local_rank}"

    def seed_per_rank(self, seed: int, step: int = 0) -> None:
        """Give each rank random numbers of its own, for dropout above all; rank 0 goes on with those of the recipe."""
        if self.rank:
            seed_everything(int(np.random.SeedSequence((seed, step, self.rank)).generate_state(1)[0]))

    @contextmanager
    def local_rank_zero_first(self) -> Iterator[None]:
        """Let the first rank of each machine do what is inside, and the others after it, when its result is there."""
        if self.local_rank:
            self._wait()
        yield
        if not self.local_rank:
            self._wait()

    def _wait(self) -> None:
        if self.size > 1:
            dist.barrier(self._preparing)

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose backward pass averages gradients over the ranks."""
        if self.size == 1:
            return module
        device = next(module.parameters()).device
        return DistributedDataParallel(
            module,
            device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=any(getattr(part, "skips_parameters", False) for part in module.modules()),
        )

    def accumulating(self, module: nn.Module) -> AbstractContextManager[None]:
        """While open, a wrapped module keeps its gradients to itself."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def refuse_to_split(self, batch: str) -> None:
        """End a run of several ranks, whose others wait for a gradient that can't come any more."""
        if self.size > 1:
            raise UserError(
                f"Process {self.rank} ran out of memory with a batch of up to {batch}.",
                "Lower training.batch_tokens and raise training.accumulate, then go on with --resume. (With one "
                "process the batch would be split.)",
            )

    def gather(self, value: T) -> list[T]:
        """What each rank has, in their order; any value that can be pickled, from our own processes."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._talking)
        return values

    def sums(self, *values: float) -> list[float]:
        """Each value, summed over the ranks."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def highest(self, *values: float) -> list[float]:
        """The highest of the ranks, for each value."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def _reduced(self, values: Sequence[float], operation: Any) -> list[float]:
        if self.size == 1:
            return list(values)
        reduced = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(reduced, operation, group=self._talking)
        numbers: list[float] = reduced.tolist()
        return numbers

    def broadcast(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, for all of them."""
        values: list[Any] = [None if self.rank else make()]
        if self.size > 1:
            dist.broadcast_object_list(values, src=0, group=self._preparing)
        made: T = values[0]
        return made

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The part of this rank: every ``size``-th, so that work sorted by length is shared fairly."""
        return items[self.rank :: self.size]

    def merge(self, parts: Sequence[Sequence[T]]) -> list[T]:
        """Undo :meth:`share`, given the part of each rank."""
        merged: list[Any] = [None] * sum(len(part) for part in parts)
        for rank, part in enumerate(parts):
            merged[rank :: self.size] = part
        return merged


SINGLE_PROCESS = ProcessGroup()
"""A run of one process."""

_LOST = ("closed by peer", "reset by peer", "Broken pipe", "Timed out", "timed out", "NCCL", "gloo", "Gloo")


@contextmanager
def _failures_told(rank: int) -> Iterator[None]:
    """Turn the loss of another rank into a message."""
    try:
        yield
    except RuntimeError as error:  # DistBackendError is one
        if not isinstance(error, dist.DistError) and not any(sign in str(error) for sign in _LOST):
            raise
        raise UserError(
            f"Process {rank} has lost the others: {str(error).splitlines()[0]}",
            "One of them has ended or doesn't answer; its own message says why. The last checkpoint is intact, so go "
            "on with --resume.",
        ) from None
