"""Workers, which run tasks one after another, and processes of this machine that are workers.

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
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection, get_context
from typing import Any

from nmt.core.console import warnings_to
from nmt.core.errors import UserError

Step = tuple[str, Any]
Job = Callable[[Any], Iterator[Step]]


class WorkerLostError(Exception):
    """A worker has ended without being asked to."""


class Worker:
    """Runs tasks in the process of a worker."""

    def __init__(self, work: Job) -> None:
        self._work = work

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


def with_step(workers: "Iterable[LocalProcess]") -> "list[LocalProcess]":
    """Waits for a step, and returns the processes that have one."""
    found = connection.wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in found]


class LocalProcess:
    """A process of this machine, which ends when the one that started it ends.

    Args:
        serve: runs in the process, with its end of the pipe and the argument.
        method: how it is started, as :func:`multiprocessing.get_context` takes it.
    """

    def __init__(self, number: int, serve: Callable[[Any, Any], None], argument: Any, method: str = "spawn") -> None:
        self.number = number
        context: Any = get_context(method)  # the base class that is declared has no Process
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, argument), daemon=True)
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


def run_orders(orders: Any, worker: Worker) -> None:
    """Runs the tasks that come through a pipe, and sends their steps back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes, and the first one stops the others
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # who gives the orders has ended
        while True:
            for step in worker.run(orders.recv()):
                orders.send(step)
