"""Executors, which start workers, and the one whose workers are processes of this machine."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

from nmt.jobs.workers import Job, LocalProcess, Step, Worker, run_orders, with_step
from nmt.recipe import registry as plugins

CORES = 4
"""Cores of a machine for each worker by default: more than four batches at a time wait for Python's lock."""

JobFactory = Callable[[int], Job]
"""Called once in a worker, with its number from 0; returns the job, which runs tasks. Both must be picklable."""


class Handle(Protocol):
    """Handle of a worker in the process that gives it tasks."""

    number: int

    def give(self, order: Any) -> None:
        """Sends a task; all steps of the previous one must have been received."""

    def receive(self) -> Step:
        """Returns the next step.

        Raises:
            WorkerLostError: the worker has ended.
        """

    def stop(self) -> None:
        """Ends the worker at once."""


class Executor(ABC):
    """Starts workers; its subclasses differ in the place where they run."""

    num_workers: int

    @classmethod
    def open(cls, options: Any, num_workers: int | None, device: str, cores_each: int) -> Self:
        """Returns an executor.

        Args:
            options: instance of the class attribute ``Options``, where the kind has one.
            num_workers: number of workers; None for as many as there are resources for.
            device: device of the workers, as ``pick_device`` takes it.
            cores_each: cores that a worker can make use of.
        """
        return cls(num_workers, device, cores_each)  # type: ignore[call-arg]

    @abstractmethod
    def start_worker(self, make: JobFactory, number: int) -> Handle:
        """Starts a worker."""

    @abstractmethod
    def ready(self, workers: Sequence[Any]) -> Sequence[Any]:
        """Waits for a step, and returns the workers that have one."""

    def close(self) -> None:  # noqa: B027 - most executors hold no resources of their own
        """Releases resources; the workers have been stopped before."""


class StartedWorker(Worker):
    """A worker that loads a model once: the first order says how to start."""

    def __init__(self) -> None:
        super().__init__(self._start)

    def _start(self, order: tuple[JobFactory, int, Sequence[str]]) -> Iterator[Step]:
        make, number, modules = order
        for module in modules:
            plugins.load_plugin(module)
        self._work = make(number)
        yield "ready", None


class LocalExecutor(Executor):
    """Processes of this machine, which share its cores."""

    def __init__(self, num_workers: int | None, device: str, cores_each: int = CORES) -> None:
        cores = int(os.environ.get("OMP_NUM_THREADS") or _num_cores())
        self.num_workers = num_workers or _num_gpus(device) or max(1, cores // cores_each)
        self._num_threads = max(1, cores // self.num_workers)

    def start_worker(self, make: JobFactory, number: int) -> "LocalProcess":
        worker = LocalProcess(number, _serve, self._num_threads)
        worker.give((make, number, plugins.named))
        return worker

    def ready(self, workers: "Sequence[LocalProcess]") -> "list[LocalProcess]":
        return with_step(workers)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _num_gpus(device: str) -> int:
    if device not in ("auto", "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()


def _serve(orders: Any, num_threads: int) -> None:
    """Runs a local process; ``orders`` is its end of the pipe."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)  # PyTorch is imported when the first order is unpickled
    run_orders(orders, StartedWorker())
