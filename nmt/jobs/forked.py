"""Processes that share the memory of a program and compute a function of tasks, in order."""

import ctypes
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

from nmt.core.console import warn, warnings_to
from nmt.core.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
CAN_FORK = sys.platform == "linux"
"""Whether a process can start with the memory of a program in which PyTorch has run."""
PERIOD = 0.2
"""Seconds between two reports of the progress."""

_own: Any = None
"""In a process: the function, and what counts the progress of all processes."""


def map_forked(
    function: Callable[[T, Callable[[int], None]], R],
    tasks: Iterable[T],
    num_processes: int,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Iterator[R]:
    """Computes a function of tasks in several processes, and yields the results in the order of the tasks.

    Each process starts with a copy of this one's memory, so there is nothing to load, and the function need not be
    picklable. Only tasks and results are pickled. Warnings are shown with the result of their task.

    Args:
        function: called with a task, and with a function that counts progress.
        tasks: not read far ahead of the results. An error in reading them is raised after the results of those before.
        on_progress: called with what was counted since the call before.

    Raises:
        UserError: of a task, or a process was killed.
    """
    reader, failure, pending, num_reported = iter(tasks), None, deque[Future[tuple[R, list[str]]]](), 0
    context, others = get_context("fork"), {*active_children()}
    num_done = context.Value("q")
    pool = ProcessPoolExecutor(num_processes, context, _begin, (function, num_done))
    try:
        while True:
            try:
                for task in islice(reader, 2 * num_processes - len(pending)):
                    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of forks and threads
                        pending.append(pool.submit(_compute, task))
            except UserError as error:
                failure, reader = error, iter(())
            if not pending:
                break
            while wait([pending[0]], PERIOD).not_done:
                count = num_done.get_obj().value  # without the lock, which a killed process may hold
                on_progress(count - num_reported)
                num_reported = count
            result, messages = pending.popleft().result()
            for message in messages:
                warn(message)
            yield result
        on_progress(num_done.get_obj().value - num_reported)
        if failure is not None:
            raise failure
    except BrokenProcessPool:
        raise UserError(
            "A process was lost: the system has killed it, or it has ended.",
            "If memory is short, give fewer --workers.",
        ) from None
    finally:
        for process in {*active_children()} - others:
            process.kill()
        pool.shutdown(cancel_futures=True)


def _begin(*own: Any) -> None:
    """Prepares a process."""
    global _own
    _own = own
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the process that started it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes, and the first one stops the others


def _compute(task: Any) -> tuple[Any, list[str]]:
    """Returns the result of a task and the warnings on the way."""
    function, num_done = _own

    def count(amount: int) -> None:
        with num_done.get_lock():
            num_done.value += amount

    with warnings_to((messages := list[str]()).append):
        return function(task, count), messages
