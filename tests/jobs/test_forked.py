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

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="forked processes are for Linux")


def ignoring(function: Callable[[int], Any]) -> Callable[[int, Any], Any]:
    """Returns a function of numbers, which can't be pickled, that counts no progress."""
    return lambda number, count: function(number)


@pytest.mark.parametrize("num_processes", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks_whichever_is_ready_first(num_processes: int) -> None:
    def sleep_longer_for_the_first(number: int, count: Callable[[int], None]) -> tuple[int, int]:
        time.sleep(0.05 if number % 3 == 0 else 0.0)
        count(number)
        return number, os.getpid()

    progress: list[int] = []
    results = list(map_forked(sleep_longer_for_the_first, range(9), num_processes, progress.append))
    assert [number for number, _ in results] == list(range(9))
    processes = {process for _, process in results}
    assert os.getpid() not in processes
    assert len(processes) <= num_processes
    assert sum(progress) == sum(range(9))


def test_tasks_are_not_read_far_ahead_of_their_results() -> None:
    read = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    def wait_for_the_first(number: int) -> int:
        time.sleep(0.5 if number == 0 else 0.0)
        return number

    results = map_forked(ignoring(wait_for_the_first), tasks(), 2)
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
    with pytest.raises(UserError, match=r"^Three is wrong\.\nLeave it out\.$"):
        found.extend(map_forked(ignoring(refuse_three), range(9), 4))
    assert found == [0, 1, 2]


def test_an_error_in_reading_the_tasks_is_raised_after_the_results_of_those_before() -> None:
    def tasks() -> Iterator[int]:
        yield from range(3)
        raise UserError("The file is damaged.", "Copy it again.")

    found = []
    with pytest.raises(UserError, match="damaged"):
        found.extend(map_forked(ignoring(lambda number: number), tasks(), 2))
    assert found == [0, 1, 2]


def test_another_exception_of_a_task_shows_where_it_was_raised() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(map_forked(ignoring(lambda number: 1 // number), range(1), 1))
    assert "1 // number" in str(caught.value.__cause__)


def test_a_process_that_is_killed_ends_the_work_with_a_message() -> None:
    with pytest.raises(UserError, match="A process was lost"):
        list(map_forked(ignoring(lambda number: os.kill(os.getpid(), signal.SIGKILL)), range(4), 2))


def test_warnings_of_a_process_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def warn_of(number: int) -> int:
        warn(f"{number} is odd")
        return number

    assert list(map_forked(ignoring(warn_of), range(2), 1)) == [0, 1]
    shown = capsys.readouterr().err
    assert shown.index("0 is odd") < shown.index("1 is odd")


def test_processes_end_with_the_one_that_started_them() -> None:
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:

        def tell_and_wait(number: int) -> None:
            os.write(write, os.getpid().to_bytes(8, "big"))
            time.sleep(60)

        list(map_forked(ignoring(tell_and_wait), range(2), 2))
        os._exit(0)
    children = [int.from_bytes(os.read(read, 8), "big") for _ in range(2)]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{child}/exe") for child in children):
        time.sleep(0.02)
    assert not any(os.path.exists(f"/proc/{child}/exe") for child in children)
