"""Signals that stop a run, which first finishes its step and saves."""

import signal
import threading
import time
from types import FrameType
from typing import Self

from nmt.core.errors import UserError

REPEATED = 3.0
"""Seconds within which a repeated signal is ignored: torchrun forwards signals to ranks that also receive them."""


class Interrupted(Exception):
    """The run was asked to stop and has saved a checkpoint. ``signal_number`` tells by what."""

    has_checkpoint = True

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class LauncherDied(UserError):
    """torchrun has ended without ending the processes that it had started.

    Args:
        has_checkpoint: the ranks have agreed to stop, and have saved a checkpoint.
    """

    def __init__(self, has_checkpoint: bool) -> None:
        self.has_checkpoint = has_checkpoint
        super().__init__(
            f"torchrun, which started this run, has ended: stopped{', checkpoint saved' if has_checkpoint else ''}.",
            "Start torchrun again, with --resume. If nobody ended it, memory may have run out (see `dmesg`).",
        )


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
