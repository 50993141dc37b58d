"""Workers, which run tasks one after another, and executors, which start them.

A worker sends steps, each a kind and a value:

    ready    it has started and waits for its first task
    before   lines of the task that an earlier run has done
    lines    lines that were done since the step before
    warning  a text
    done     the result of the task, its last step
    error    a :class:`UserError`, or for any other exception the text of its traceback

A worker that is killed, or whose machine is lost, raises :class:`WorkerLostError` where the next step is received.
"""

import contextlib
import os
import signal
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context
from typing import Any, Protocol

from nmt.core.console import warnings_to
from nmt.core.errors import UserError
from nmt.recipe import registry as plugins

Step = tuple[str, Any]
Job = Callable[[Any], Iterator[Step]]
JobFactory = Callable[[int], Job]
"""Called once in a worker, with its number from 0; returns the job, which runs tasks. Both must be picklable."""


class WorkerLostError(Exception):
    """A worker has ended without being asked to."""


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
    """Starts workers; its subclasses differ in the place where they run.

    Args:
        options: instance of the class attribute ``Options``, where the kind has one; otherwise None.
        num_workers: number of workers; None for as many as there are resources for.
        device: device of the workers, as ``pick_device`` takes it.
        cores_each: cores that a worker can make use of.
    """

    num_workers: int

    @abstractmethod
    def __init__(self, options: Any, num_workers: int | None, device: str, cores_each: int) -> None: ...

    @abstractmethod
    def start_worker(self, make: JobFactory, number: int) -> Handle:
        """Starts a worker."""

    @abstractmethod
    def ready(self, workers: Sequence[Any]) -> Sequence[Any]:
        """Waits for a step, and returns the workers that have one."""

    def close(self) -> None:  # noqa: B027 - most executors hold no resources of their own
        """Releases resources; the workers have been stopped before."""


class StartedWorker:
    """Runs tasks in the process of a worker, which loads a model once: the first order says how to start."""

    def __init__(self) -> None:
        self._work: Job = self._start

    def run(self, order: Any) -> Iterator[Step]:
        """Yields the steps of a task."""
        told: list[str] = []
        with warnings_to(told.append):
            try:
                for step in self._work(order):
                    yield from (("warning", text) for text in told)
                    told.clear()
                    yield step
            except UserError as error:
                yield "error", error
            except Exception:
                yield "error", traceback.format_exc()

    def _start(self, order: tuple[JobFactory, int, Sequence[str]]) -> Iterator[Step]:
        make, number, modules = order
        for module in modules:
            plugins.load_plugin(module)
        self._work = make(number)
        yield "ready", None


class LocalProcess:
    """A process of this machine, which ends when the one that started it ends."""

    def __init__(self, number: int, num_threads: int) -> None:
        self.number = number
        context: Any = get_context("spawn")  # the base class that is declared has no Process
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, num_threads), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, order: Any) -> None:
        with contextlib.suppress(OSError):  # a worker that has ended is noticed by `receive`
            self.connection.send(order)

    def receive(self) -> Step:
        try:
            step: Step = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"
            raise WorkerLostError(how) from None
        return step

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


class LocalExecutor(Executor):
    """Processes of this machine, which share its cores."""

    def __init__(self, options: Any, num_workers: int | None, device: str, cores_each: int) -> None:
        available = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # of the outermost of nested loops
        cores = int(given) if given.isdecimal() else len(available)
        self.num_workers = num_workers or num_gpus(device) or max(1, cores // cores_each)
        self._num_threads = max(1, cores // self.num_workers)

    def start_worker(self, make: JobFactory, number: int) -> LocalProcess:
        worker = LocalProcess(number, self._num_threads)
        worker.give((make, number, plugins.named))
        return worker

    def ready(self, workers: Sequence[LocalProcess]) -> list[LocalProcess]:
        found = connection.wait([worker.connection for worker in workers])
        return [worker for worker in workers if worker.connection in found]


def num_gpus(device: str) -> int:
    """Returns the number of GPUs that workers on a device share, 0 for one device or the CPU."""
    if device not in ("auto", "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()


def _serve(orders: Any, num_threads: int) -> None:
    """Runs a local process; ``orders`` is its end of the pipe."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)  # PyTorch is imported when the first order is unpickled
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes, and the first one stops the others
    worker = StartedWorker()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # who gives the orders has ended
        while True:
            for step in worker.run(orders.recv()):
                orders.send(step)
