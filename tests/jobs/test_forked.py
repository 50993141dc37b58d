"""Processes that share the memory of a program: order, progress, errors, and what a killed process leaves."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.jobs.forked import CAN_FORK, map_forked
from nmt.jobs.workers import Job, Step

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="forked processes are for Linux")


def doing(function: Callable[[int], Any]) -> Callable[[Callable[[Step], None]], Job]:
    """Returns what makes a job of a function, which can't be pickled, of numbers."""

    def make(send: Callable[[Step], None]) -> Job:
        def work(number: int) -> Iterator[Step]:
            send(("lines", number))
            yield "done", function(number)

        return work

    return make


def values(kind: str, steps: Iterator[Step]) -> list[Any]:
    return [value for found, value in steps if found == kind]


@pytest.mark.parametrize("num_processes", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks_whichever_is_ready_first(num_processes: int) -> None:
    def sleep_longer_for_the_first(number: int) -> tuple[int, int]:
        time.sleep(0.05 if number % 3 == 0 else 0.0)
        return number, os.getpid()

    steps = list(map_forked(doing(sleep_longer_for_the_first), range(9), num_processes))
    results = values("done", iter(steps))
    assert [number for number, _ in results] == list(range(9))
    assert os.getpid() not in {process for _, process in results}
    assert len({process for _, process in results}) == num_processes
    assert sorted(values("lines", iter(steps))) == list(range(9))


def test_tasks_are_not_read_far_ahead_of_their_results() -> None:
    read = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    def wait_for_the_first(number: int) -> int:
        time.sleep(0.5 if number == 0 else 0.0)
        return number

    results = (value for kind, value in map_forked(doing(wait_for_the_first), tasks(), 2) if kind == "done")
    assert next(results) == 0
    assert len(read) < 8
    assert list(results) == list(range(1, 100))


def test_an_error_is_raised_after_the_results_of_the_tasks_before_it() -> None:
    def refuse_three(number: int) -> int:
        time.sleep(0.1 if number < 3 else 0.0)
        if number == 3:
            raise UserError("Three is wrong.", "Leave it out.")
        return number

    found = []
    with pytest.raises(UserError, match="Three is wrong") as caught:
        found.extend(value for kind, value in map_forked(doing(refuse_three), range(9), 4) if kind == "done")
    assert caught.value.remedy == "Leave it out."
    assert found == [0, 1, 2]


def test_an_error_in_reading_the_tasks_is_raised_after_the_results_of_those_before() -> None:
    def tasks() -> Iterator[int]:
        yield from range(3)
        raise UserError("The file is damaged.", "Copy it again.")

    found = []
    with pytest.raises(UserError, match="damaged"):
        found.extend(value for kind, value in map_forked(doing(lambda number: number), tasks(), 2) if kind == "done")
    assert found == [0, 1, 2]


def test_another_exception_of_a_task_shows_where_it_was_raised() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(map_forked(doing(lambda number: 1 // number), range(1), 1))


def test_a_process_that_is_killed_ends_the_work_with_a_message() -> None:
    with pytest.raises(UserError, match="A process was lost: killed by SIGKILL"):
        list(map_forked(doing(lambda number: os.kill(os.getpid(), signal.SIGKILL)), range(4), 2))


def test_warnings_of_a_process_are_steps() -> None:
    def warn_of(number: int) -> int:
        warn(f"{number} is odd")
        return number

    assert values("warning", map_forked(doing(warn_of), range(2), 1)) == ["0 is odd", "1 is odd"]


def test_processes_end_with_the_one_that_started_them() -> None:
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:

        def tell_and_wait(number: int) -> None:
            os.write(write, os.getpid().to_bytes(8, "big"))
            time.sleep(60)

        list(map_forked(doing(tell_and_wait), range(2), 2))
        os._exit(0)
    children = [int.from_bytes(os.read(read, 8), "big") for _ in range(2)]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{child}/exe") for child in children):
        time.sleep(0.02)
    assert not any(os.path.exists(f"/proc/{child}/exe") for child in children)
