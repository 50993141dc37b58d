"""Training in several processes (Li et al. 2020, DistributedDataParallel).

``torchrun`` starts the processes, called ranks. Each has the same model and its own batches; gradients are averaged in
the backward pass, and only rank 0 writes. Without ``torchrun`` there is one rank, which communicates with nobody.

During an update the ranks wait for each other in blocking calls of PyTorch, which have a timeout. Before training, one
rank works for minutes or hours while the others poll. If one rank ends, torchrun ends the others.
"""

import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from types import FrameType
from typing import Any, Literal, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from nmt.core.console import be_silent
from nmt.core.errors import UserError

REPEATED = 3.0
"""Seconds within which a repeated signal is ignored: torchrun forwards signals to ranks that also receive them."""


class Interrupted(Exception):
    """The run was asked to stop and has saved a checkpoint. ``signal_number`` tells by what."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Interrupts:
    """While this context is open, Ctrl-C and SIGTERM set ``received``; a second one acts at once.

    Args:
        repeated: seconds after the first in which others are ignored.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, repeated: float = 0.0) -> None:
        self.received: int | None = None
        self._repeated, self._first = repeated, 0.0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        # Only the main thread may set handlers; elsewhere (a notebook's worker) signals keep their meaning.
        if threading.current_thread() is threading.main_thread():
            for number in self._SIGNALS:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def _receive(self, number: int, frame: FrameType | None) -> None:
        is_first = self.received is None
        if is_first:
            self.received, self._first = number, time.monotonic()
        if time.monotonic() - self._first >= self._repeated:
            self._restore()
            if not is_first:
                signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}

    def __exit__(self, *_: object) -> None:
        self._restore()


def seed_everything(seed: int) -> None:
    """Seeds all random generators of a run."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_numbers_kept(device: torch.device) -> AbstractContextManager[None]:
    """Restores the states of the random generators of the CPU and a device at the end of this context."""
    return torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type)


PATIENCE = timedelta(minutes=30)
"""Timeout of communication between ranks; a process that ends is noticed at once."""

POLLING = 0.2
"""Seconds between two polls of the store."""

T = TypeVar("T")


def _torchrun_variables() -> tuple[int, int, int]:
    """Returns the rank, the number of ranks and the rank on this machine, of the environment that torchrun sets.

    Raises:
        UserError: a variable is missing or isn't a number.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size == "1":
        return 0, 1, 0
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")
    values = [os.environ.get(name, "0" if name == "LOCAL_RANK" else "") for name in names]
    wrong = [f"{name}={value}" for name, value in zip(names, values, strict=True) if not value.isdecimal()]
    wrong += [] if os.environ.get("MASTER_ADDR") else ["MASTER_ADDR="]
    if not wrong and int(values[0]) >= int(size):
        wrong = [f"RANK={values[0]}"]
    if wrong:
        raise UserError(
            f"WORLD_SIZE={size} asks for several processes, but the environment says {', '.join(wrong)}.",
            "Start several processes by torchrun, which sets these variables, or unset WORLD_SIZE to train in one.",
        )
    return int(values[0]), int(size), int(values[2])


class ProcessGroup:
    """The processes of a run, from the point of view of one of them."""

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._talking: Any = None
        self._store: Any = None
        self._num_meetings = 0

    @classmethod
    @contextmanager
    def joined(cls, device: str) -> Iterator[Self]:
        """Joins the processes that torchrun has started; without torchrun there is only this one.

        Raises:
            UserError: torchrun's variables are incomplete, or a rank has ended, or doesn't answer.
        """
        group = cls(*_torchrun_variables())
        if group.size == 1:
            yield group
            return
        on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
        if group.rank:
            be_silent()
        if sys.platform == "linux" and "TORCHELASTIC_RUN_ID" in os.environ:
            # SIGTERM, by which training saves a checkpoint and stops, if torchrun is killed (PR_SET_PDEATHSIG).
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        with group._failures_told():
            has_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun already runs it
            group._store, *_ = next(rendezvous("env://", timeout=timedelta(minutes=1) if has_store else PATIENCE))
            backend = "nccl" if on_gpu else "gloo"
            dist.init_process_group(backend, None, PATIENCE, group.size, group.rank, group._store)
            # Objects use a Gloo group, whatever backend the gradients use.
            group._talking = dist.new_group(timeout=PATIENCE, backend="gloo")
            try:
                yield group
            except Interrupted:  # after an agreement of all ranks
                group._leave()
                raise
            group._leave()

    def _leave(self) -> None:
        """Waits for all ranks: torchrun ends all when one exits with an error, and rank 0 may be writing."""
        with Interrupts(REPEATED):
            dist.barrier(self._talking)
        dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes files and messages."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Returns the device of this rank: each has its own GPU."""
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

    def seed_per_rank(self, seed: int) -> None:
        """Seeds each rank differently, for dropout; rank 0 keeps the seed of the recipe."""
        if self.rank:
            seed_everything(int(np.random.SeedSequence((seed, self.rank)).generate_state(1)[0]))

    @contextmanager
    def local_rank_zero_first(self) -> Iterator[None]:
        """Runs the context in the first rank of each machine, and then in its other ranks."""
        if self.local_rank:
            self._meet()
        yield
        if not self.local_rank:
            self._meet()

    def _meet(self) -> None:
        """Barrier without a timeout."""
        if self.size == 1:
            return
        self._num_meetings += 1
        key = f"nmt-meeting-{self._num_meetings}"
        num_present = self._store.add(key, 1)
        while num_present < self.size:
            time.sleep(POLLING)
            num_present = self._store.add(key, 0)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Returns a module whose backward pass averages gradients over the ranks."""
        if self.size == 1:
            return module
        device = next(module.parameters()).device
        return DistributedDataParallel(module, device_ids=[device] if device.type == "cuda" else None)

    def no_sync(self, module: nn.Module) -> AbstractContextManager[None]:
        """Disables the reduction of gradients inside this context."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def refuse_to_split(self, batch: str) -> None:
        """Raises an error in a run of several ranks, whose others wait for the gradient."""
        if self.size > 1:
            raise UserError(
                f"Process {self.rank} ran out of memory with a batch of up to {batch}.",
                "Lower training.batch_tokens and raise training.accumulate, then go on with --resume. (With one "
                "process the batch would be split.)",
            )

    def gather(self, value: T) -> list[T]:
        """Returns the values of all ranks, in order; any value that can be pickled."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._talking)
        return values

    def all_reduce(self, operation: Literal["sum", "max"], *values: float) -> list[float]:
        """Returns the sum or the maximum of each value over the ranks."""
        if self.size == 1:
            return list(values)
        reduced = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(reduced, dist.ReduceOp.SUM if operation == "sum" else dist.ReduceOp.MAX, self._talking)
        numbers: list[float] = reduced.tolist()
        return numbers

    def broadcast(self, make: Callable[[], T]) -> T:
        """Returns in all ranks the value that rank 0 makes."""
        values: list[Any] = [None if self.rank else make()]
        if self.size > 1:
            self._meet()
            dist.broadcast_object_list(values, src=0, group=self._talking)
        made: T = values[0]
        return made

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """Converts the loss of another rank into a UserError."""
        try:
            yield
        except RuntimeError as error:  # DistBackendError is one
            if not isinstance(error, dist.DistError) and not any(sign in str(error) for sign in _LOST):
                raise
            raise UserError(
                f"Process {self.rank} has lost the others: one of them has ended, or has not answered for "
                f"{PATIENCE.total_seconds() / 60:.0f} minutes.",
                "The message of that process has the reason. The last checkpoint is intact: resume with --resume.",
            ) from None

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Returns every ``size``-th item, so that work sorted by length is divided evenly."""
        return items[self.rank :: self.size]

    def merge(self, parts: Sequence[Sequence[T]]) -> list[T]:
        """Undoes :meth:`share`, given the part of each rank."""
        merged: list[Any] = [None] * sum(len(part) for part in parts)
        for rank, part in enumerate(parts):
            merged[rank :: self.size] = part
        return merged


SINGLE_PROCESS = ProcessGroup()
"""Process group of a run without torchrun."""

_LOST = ("closed by peer", "reset by peer", "Broken pipe", "Timed out", "timed out", "NCCL", "gloo", "Gloo")
