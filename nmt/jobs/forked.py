"""Processes that share the memory of a program and do its tasks, in order."""

import ctypes
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nmt.core.errors import UserError
from nmt.jobs.workers import Job, LocalProcess, Step, Worker, WorkerLostError, run_orders, with_step

JobMaker = Callable[[Callable[[Step], None]], Job]
"""Called once in a process, with what sends a step; returns its job. Neither need be picklable."""
CAN_FORK = sys.platform == "linux"
"""Whether a process can start with the memory of a program in which PyTorch has run."""


def map_forked(make: JobMaker, tasks: Iterable[Any], num_processes: int) -> Iterator[Step]:
    """Has processes do tasks, and yields their steps; those of kind ``done`` in the order of the tasks.

    Each starts with a copy of this one's memory, so there is nothing to load. Only tasks and results are pickled.

    Args:
        tasks: read when a process is free, and not far ahead of the results. An error in reading them is raised after
            the results of those before.

    Raises:
        UserError: of a task, or a process was killed.
    """
    reader, num_given, num_due = iter(tasks), 0, 0
    ended: dict[int, Step] = {}
    workers, idle, busy = list[LocalProcess](), list[LocalProcess](), dict[LocalProcess, int]()
    try:
        while True:
            while (idle or len(workers) < num_processes) and len(ended) <= num_processes:
                try:
                    task = next(reader)
                except StopIteration:
                    break
                except UserError as error:
                    ended[num_given], reader = ("error", error), iter(())
                    break
                if not idle:
                    idle.append(_start(len(workers), make))
                    workers.append(idle[-1])
                busy[idle[-1]] = num_given
                idle.pop().give(task)
                num_given += 1
            if not busy and not ended:
                return
            for worker in with_step(busy) if busy else ():
                step = worker.receive()
                if step[0] in ("done", "error"):
                    ended[busy.pop(worker)] = step
                    idle.append(worker)
                else:
                    yield step
            while num_due in ended:
                kind, value = ended.pop(num_due)
                if kind == "error":
                    raise value if isinstance(value, UserError) else RuntimeError(f"in a process:\n{value}")
                yield kind, value
                num_due += 1
    except WorkerLostError as lost:
        raise UserError(f"A process was lost: {lost}.", "If memory is short, give fewer --workers.") from None
    finally:
        for worker in workers:
            worker.stop()


def _start(number: int, make: JobMaker) -> LocalProcess:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of forks beside other threads
        return LocalProcess(number, _serve, make, "fork")


def _serve(orders: Any, make: JobMaker) -> None:
    """Runs a process; ``orders`` is its end of the pipe."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the process that started it
    run_orders(orders, Worker(make(orders.send)))
