"""Several processes train one model (Li et al. 2020, DistributedDataParallel): who does what, and how they agree.

``torchrun`` starts the processes, here called ranks, and tells each its number by environment variables. Each has the
same model and takes its own batches; gradients are averaged over the ranks within the backward pass. Rank 0 writes.
Without ``torchrun`` there is one rank, and nothing here communicates.

During an update all ranks are about equally far, and they wait for each other in blocking calls of PyTorch. Before the
training one works for minutes or hours; the others poll meanwhile (:meth:`ProcessGroup.check`), because Python handles
no signal during a blocking call, and PyTorch doesn't tell that another rank or torchrun itself has ended.
"""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from nmt.core.console import be_silent, show_error
from nmt.core.errors import UserError
from nmt.training.checkpointing.state import seed_everything
from nmt.training.loop.interrupts import REPEATED, Interrupted, Interrupts, LauncherDied

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others before it takes them for lost; one whose process ends is noticed at once."""

POLLING = 0.2
"""Seconds between two looks at whether the others have come."""

T = TypeVar("T")


class ProcessGroup:
    """The processes of a run, as one of them sees them."""

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._talking: Any = None
        self._store: Any = None
        self._num_meetings = 0
        self._torchrun = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
        self._neighbours: list[int] = []

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
        group = cls(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))
        on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
        if group.rank:
            be_silent()
        with group._failures_told():
            with group._ended_with_torchrun():
                has_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun has it, and is there
                group._store, *_ = next(rendezvous("env://", timeout=timedelta(minutes=1) if has_store else PATIENCE))
                backend = "nccl" if on_gpu else "gloo"
                dist.init_process_group(backend, None, PATIENCE, size, group.rank, group._store)
                # Numbers and text go by the CPU, beside the gradients, whatever those go by.
                group._talking = dist.new_group(timeout=PATIENCE, backend="gloo")
                group._meet_neighbours()
            try:
                yield group
            except (Interrupted, LauncherDied) as stop:
                if stop.has_checkpoint:  # so all ranks have agreed on it
                    group._leave()
                raise
            group._leave()

    @contextmanager
    def _ended_with_torchrun(self) -> Iterator[None]:
        """End this process if torchrun ends while it waits for the others in PyTorch, where Python can do nothing."""
        joined = threading.Event()

        def watch() -> None:
            while not joined.wait(POLLING):
                if self.launcher_died:
                    if self.is_main:
                        show_error(LauncherDied(has_checkpoint=False))
                    os._exit(2)

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            joined.set()

    def _meet_neighbours(self) -> None:
        """Have the system tell when a rank on this machine ends. Only Linux can; elsewhere torchrun ends the others."""
        here = socket.gethostname()
        for machine, process in self.gather((here, os.getpid())):
            if machine == here and process != os.getpid() and hasattr(os, "pidfd_open"):
                with suppress(OSError):  # a container that has its own numbers
                    self._neighbours.append(os.pidfd_open(process))

    def _leave(self) -> None:
        """End together: torchrun ends all ranks when one has left with an error, and rank 0 may still be writing."""
        with Interrupts(REPEATED):
            dist.barrier(self._talking)
        dist.destroy_process_group()
        for neighbour in self._neighbours:
            os.close(neighbour)

    @property
    def launcher_died(self) -> bool:
        """Whether torchrun, which started this process, has ended. Any other parent may end."""
        return self._torchrun is not None and self._torchrun != os.getppid()

    def check(self) -> None:
        """To be called now and then during long work before the training.

        Raises:
            UserError: another rank or torchrun has ended.
        """
        if self.launcher_died:
            raise LauncherDied(has_checkpoint=False)
        if select.select(self._neighbours, [], [], 0)[0]:
            raise self._lost()

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

    def seed_per_rank(self, seed: int) -> None:
        """Give each rank random numbers of its own, for dropout above all; rank 0 goes on with those of the recipe."""
        if self.rank:
            seed_everything(int(np.random.SeedSequence((seed, self.rank)).generate_state(1)[0]))

    @contextmanager
    def local_rank_zero_first(self) -> Iterator[None]:
        """Let the first rank of each machine do what is inside, and the others after it, when its result is there."""
        if self.local_rank:
            self._meet()
        yield
        if not self.local_rank:
            self._meet()

    def _meet(self) -> None:
        """Wait until all ranks are here, however long it takes."""
        if self.size == 1:
            return
        self._num_meetings += 1
        key = f"nmt-meeting-{self._num_meetings}"
        num_present = self._store.add(key, 1)
        while num_present < self.size:
            time.sleep(POLLING)
            self.check()
            num_present = self._store.add(key, 0)

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

    def no_sync(self, module: nn.Module) -> AbstractContextManager[None]:
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

    def all_reduce_sum(self, *values: float) -> list[float]:
        """Each value, summed over the ranks."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def all_reduce_max(self, *values: float) -> list[float]:
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
            self._meet()
            dist.broadcast_object_list(values, src=0, group=self._talking)
        made: T = values[0]
        return made

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """Turn the loss of another rank or of torchrun, which has the store, into a message."""
        try:
            try:
                yield
            except RuntimeError as error:  # DistBackendError is one
                if not isinstance(error, dist.DistError) and not any(sign in str(error) for sign in _LOST):
                    raise
                time.sleep(POLLING)  # torchrun's connections close a little before it has ended
                raise (LauncherDied(has_checkpoint=False) if self.launcher_died else self._lost()) from None
        except LauncherDied:
            if self.rank:
                raise SystemExit(2) from None  # one message is enough
            raise

    def _lost(self) -> UserError:
        return UserError(
            f"Process {self.rank} has lost the others: one of them has ended, or has not answered for "
            f"{PATIENCE.total_seconds() / 60:.0f} minutes.",
            "The message of that process has the reason. The last checkpoint is intact: resume with --resume.",
        )

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
